"""The bytes of tables: VOTable 1.4 in every serialization, CSV, TSV, FITS 4.0, VOParquet 1.0, JSON, Arrow, text, HTML.

`media` says which formats there are, `encoder` writes a `catalog.vo.table.TableStream` in one of them. What
each format cannot carry is listed in ``docs/reference/formats.md``.
"""
