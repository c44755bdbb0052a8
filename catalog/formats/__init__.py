"""The bytes of tables: VOTable 1.4 (BINARY2, TABLEDATA), CSV, TSV, FITS 4.0 BINTABLE, VOParquet 1.0, JSON.

`media` says which formats there are, `encoder` writes a `catalog.vo.table.TableStream` in one of them. What
each format cannot carry is listed in ``docs/reference/formats.md``.
"""
