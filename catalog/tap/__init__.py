"""TAP 1.1: queries in ADQL over the published tables, answered at once (sync)."""
