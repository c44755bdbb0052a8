"""DataLink 1.1: from identifiers of packages to what belongs to each, and the files of one package as a table.

The rows of one identifier stand together and are never cut apart. That an identifier is unknown is a row, not an error
of the request (section 3.4).
"""
