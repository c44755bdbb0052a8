"""ADQL 2.1 (REC 2023-12-15): text → tree → typed tree → SQLAlchemy Core for SQLite and PostgreSQL.

`parser` knows the grammar and no table; `resolver` knows the tables and no database; `translate` knows the two
databases. All of the grammar is read and translated. `functions` is the one list of what may be called, user-defined
functions (`udf`) included; what the engines lack is given to them by `sqlite_functions` and `postgresql_functions`.
"""
