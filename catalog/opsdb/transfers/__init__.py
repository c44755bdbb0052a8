"""Packages travel between sites: bundled here for the network, moved by others, who report what came of it."""
