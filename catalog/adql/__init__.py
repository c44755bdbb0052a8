"""ADQL 2.1 (REC 2023-12-15): text → tree → typed tree → SQLAlchemy Core for SQLite and PostgreSQL.

`parser` knows the grammar and no table; `resolver` knows the tables and no database; `translate` knows the two
databases. All of the grammar is read. Not translated yet, and refused with the code ``not-supported-yet``: BOX,
REGION, INTERSECTS, AREA, CENTROID, geometry held in columns, CAST to a geometry, and IN_UNIT.
"""
