"""The vocabulary of the Virtual Observatory: types, tables, identifiers, regions, times. Pure: no database, no HTTP."""
