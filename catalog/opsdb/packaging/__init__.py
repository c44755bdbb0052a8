"""Files become packages: planned here, built by movers, who report what came of it."""
