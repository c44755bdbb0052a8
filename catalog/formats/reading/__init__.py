"""Read tables that strangers send: VOTable 1.0 to 1.5 in every serialization, CSV and TSV, FITS, Parquet.

Every reader hands out a `catalog.vo.table.TableStream` with memory that does not grow with the table, and answers
what is wrong with the content by a fault that says where: a line, a row, a column. Nothing in the content is
believed: sizes are bounded before memory is taken, documents reach out to nothing.
"""
