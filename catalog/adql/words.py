"""The reserved words of ADQL 2.1 (section 2.1.2) and what to write instead of words that other SQLs know."""

from __future__ import annotations

import re

__all__ = [
    "ADQL_WORDS",
    "FOREIGN_FUNCTIONS",
    "FOREIGN_SIGNS",
    "FOREIGN_TYPES",
    "FOREIGN_WORDS",
    "KEYWORDS",
    "RESERVED_WORDS",
    "SQL_WORDS",
    "is_reserved",
    "spell",
]

SQL_WORDS = frozenset(
    """
    ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BEGIN BETWEEN BIT
    BIT_LENGTH BOTH BY CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER CHAR_LENGTH CHARACTER_LENGTH CHECK CLOSE
    COALESCE COLLATE COLLATION COLUMN COMMIT CONNECT CONNECTION CONSTRAINT CONSTRAINTS CONTINUE CONVERT CORRESPONDING
    COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATE DAY DEALLOCATE
    DECIMAL DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR DIAGNOSTICS DISCONNECT DISTINCT DOMAIN
    DOUBLE DROP ELSE END END-EXEC ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL EXTRACT FALSE FETCH FIRST FLOAT
    FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING HOUR IDENTITY IMMEDIATE IN INDICATOR INITIALLY
    INNER INPUT INSENSITIVE INSERT INT INTEGER INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY LANGUAGE LAST LEADING LEFT
    LEVEL LIKE LOCAL LOWER MATCH MAX MIN MINUTE MODULE MONTH NAMES NATIONAL NATURAL NCHAR NEXT NO NOT NULL NULLIF
    NUMERIC OCTET_LENGTH OF ON ONLY OPEN OPTION OR ORDER OUTER OUTPUT OVERLAPS PAD PARTIAL POSITION PRECISION PREPARE
    PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC READ REAL REFERENCES RELATIVE RESTRICT REVOKE RIGHT ROLLBACK
    ROWS SCHEMA SCROLL SECOND SECTION SELECT SESSION SESSION_USER SET SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR
    SQLSTATE SUBSTRING SUM SYSTEM_USER TABLE TEMPORARY THEN TIME TIMESTAMP TIMEZONE_HOUR TIMEZONE_MINUTE TO TRAILING
    TRANSACTION TRANSLATE TRANSLATION TRIM TRUE UNION UNIQUE UNKNOWN UPDATE UPPER USAGE USER USING VALUE VALUES VARCHAR
    VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE YEAR ZONE
    """.split()
)
"""Reserved because SQL-92 reserves them."""

ADQL_WORDS = frozenset(
    """
    ABS ACOS AREA ASIN ATAN ATAN2 BIGINT BOX CEILING CENTROID CIRCLE CONTAINS COORD1 COORD2 COORDSYS COS COT DEGREES
    DISTANCE EXP FLOOR ILIKE INTERSECTS IN_UNIT LOG LOG10 MOD OFFSET PI POINT POLYGON POWER RADIANS RAND REGION ROUND
    SIN SQRT TAN TOP TRUNCATE
    """.split()
)
"""Reserved by ADQL itself."""

RESERVED_WORDS = SQL_WORDS | ADQL_WORDS

KEYWORDS = tuple(
    """
    SELECT DISTINCT TOP FROM WHERE GROUP HAVING ORDER OFFSET BY AND OR NOT LIKE ILIKE BETWEEN IN IS NULL EXISTS JOIN
    INNER LEFT RIGHT FULL OUTER NATURAL ON USING UNION EXCEPT INTERSECT ALL AS ASC DESC WITH
    """.split()
)
"""Words that hold a query together, being neither functions nor types."""

_ROWS = "ADQL limits rows at the front: SELECT TOP 10 …"
_READS = "ADQL only reads: a query starts with SELECT or WITH"
_NOW = "write the time as text: '2026-01-31T00:00:00'"
_QUANTIFIED = "write IN (…), or compare with the MIN or MAX that a subquery in FROM yields"

FOREIGN_WORDS = {
    "LIMIT": _ROWS,
    "FETCH": _ROWS,
    "ROWNUM": _ROWS,
    "CASE": "ADQL has no CASE; COALESCE, or a UNION of two selections, often does the same",
    "CROSS": "ADQL has no CROSS JOIN; write FROM a, b",
    "LATERAL": "a subquery in FROM cannot look at its neighbours; join it instead",
    "APPLY": "a subquery in FROM cannot look at its neighbours; join it instead",
    "TRUE": "ADQL has no boolean values; flags are integers: flag = 1",
    "FALSE": "ADQL has no boolean values; flags are integers: flag = 0",
    "XOR": "write (a AND NOT b) OR (b AND NOT a)",
    "UNKNOWN": "what is not known is NULL: value IS NULL",
    "ESCAPE": "LIKE in ADQL has no ESCAPE: % and _ always are wildcards",
    "SIMILAR": "ADQL has no regular expressions; LIKE takes % and _",
    "REGEXP": "ADQL has no regular expressions; LIKE takes % and _",
    "RLIKE": "ADQL has no regular expressions; LIKE takes % and _",
    "GLOB": "ADQL has no regular expressions; LIKE takes % and _",
    "ANY": _QUANTIFIED,
    "SOME": _QUANTIFIED,
    "INTERVAL": "ADQL has no arithmetic with times; compare with text such as '2026-01-31'",
    "OVER": "ADQL 2.1 has no window functions",
    "FILTER": "an aggregate of some rows is a query of its own, with WHERE",
    "INTO": "ADQL only reads: results come back to you, not into a table",
    "INSERT": _READS,
    "UPDATE": _READS,
    "DELETE": _READS,
    "DROP": _READS,
    "CREATE": _READS,
    "ALTER": _READS,
    "GRANT": _READS,
    "EXPLAIN": _READS,
    "SET": _READS,
    "VALUES": _READS,
    "FOR": "ADQL only reads, so it locks nothing: leave FOR … out",
    "NULLS": "NULL counts as the greatest value: last ascending, first descending",
    "COLLATE": "ADQL has no COLLATE: text sorts by code point",
    "CURRENT_TIMESTAMP": _NOW,
    "CURRENT_DATE": _NOW,
    "CURRENT_TIME": _NOW,
    "RECURSIVE": "WITH in ADQL 2.1 is not recursive",
    "QUALIFY": "ADQL 2.1 has no window functions",
    "ROLLUP": "ADQL groups by plain expressions",
    "CUBE": "ADQL groups by plain expressions",
    "ISNULL": "write value IS NULL",
    "NOTNULL": "write value IS NOT NULL",
    "MINUS": "the difference of two selections is EXCEPT",
    "BOOLEAN": "ADQL has no boolean values; flags are integers",
}
"""Words that people bring from other dialects, and the ADQL way."""

FOREIGN_SIGNS = {
    "==": ("=", "write a single ="),
    "&&": ("AND", "write AND"),
    "=>": (">=", "write >="),
    "=<": ("<=", "write <="),
    "!<": (">=", "write >="),
    "!>": ("<=", "write <="),
    "≤": ("<=", "write <="),
    "≥": (">=", "write >="),
    "≠": ("<>", "write <>"),
    "−": ("-", "this is a typographic minus; write -"),
    "–": ("-", "this is a dash; write -"),
    "×": ("*", "write *"),
    "“": ("'", "use straight quotes: '…' for text"),
    "”": ("'", "use straight quotes: '…' for text"),
    "‘": ("'", "use straight quotes: '…' for text"),
    "’": ("'", "use straight quotes: '…' for text"),
    "`": ('"', 'ADQL quotes names with "…"'),
    "\u00a0": (" ", "this blank is not a plain one, as happens with text copied from a web page"),
    "\u2009": (" ", "this blank is not a plain one, as happens with text copied from a web page"),
    "\u200b": ("", "an invisible character stands here, as happens with text copied from a web page"),
    "\ufeff": ("", "an invisible character stands here, as happens with text copied from a file"),
}
"""Signs that ADQL lacks: what to write for each of them, and the advice."""

FOREIGN_TYPES = {
    "INT": "INTEGER",
    "INT2": "SMALLINT",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "LONG": "BIGINT",
    "SIGNED": "BIGINT",
    "FLOAT": "DOUBLE PRECISION",
    "FLOAT4": "REAL",
    "FLOAT8": "DOUBLE PRECISION",
    "DOUBLE": "DOUBLE PRECISION",
    "NUMERIC": "DOUBLE PRECISION",
    "DECIMAL": "DOUBLE PRECISION",
    "NUMBER": "DOUBLE PRECISION",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHARACTER": "CHAR",
    "NVARCHAR": "VARCHAR",
    "VARCHAR2": "VARCHAR",
    "DATE": "TIMESTAMP",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP",
}
"""Types of other dialects, and the nearest that CAST knows here."""

FOREIGN_FUNCTIONS = {
    "CEIL": ("CEILING", "ADQL calls it CEILING"),
    "TRUNC": ("TRUNCATE", "ADQL calls it TRUNCATE"),
    "LN": ("LOG", "ADQL calls it LOG: the natural logarithm"),
    "POW": ("POWER", "ADQL calls it POWER"),
    "RANDOM": ("RAND", "ADQL calls it RAND"),
    "ATN2": ("ATAN2", "ADQL calls it ATAN2"),
    "LCASE": ("LOWER", "ADQL calls it LOWER"),
    "UCASE": ("UPPER", "ADQL calls it UPPER"),
    "IFNULL": ("COALESCE", "ADQL calls it COALESCE"),
    "NVL": ("COALESCE", "ADQL calls it COALESCE"),
    "ISNULL": ("COALESCE", "ADQL calls it COALESCE; the test is value IS NULL"),
    "MEAN": ("AVG", "ADQL calls it AVG"),
    "CONCAT": (None, "text is joined with ||"),
    "CONVERT": (None, "write CAST(value AS type)"),
    "NULLIF": (None, "ADQL 2.1 has no NULLIF"),
    "IIF": (None, "ADQL has no conditions as values; COALESCE, or a UNION of two selections, often does the same"),
    "SUBSTRING": (None, "ADQL 2.1 has no SUBSTRING; LIKE finds a part of a text"),
    "POSITION": (None, "ADQL 2.1 has no POSITION; LIKE finds a part of a text"),
    "TRIM": (None, "ADQL 2.1 has no TRIM"),
    "CHAR_LENGTH": (None, "ADQL 2.1 has no length of text"),
    "EXTRACT": (None, "compare times with text: t >= '2026-01-01' AND t < '2027-01-01'"),
    "SQUARE": (None, "write POWER(x, 2)"),
    "SIGN": (None, "ADQL 2.1 has no SIGN"),
    "SUBSTR": (None, "ADQL 2.1 has no SUBSTRING; LIKE finds a part of a text"),
    "LEN": (None, "ADQL 2.1 has no length of text"),
    "LENGTH": (None, "ADQL 2.1 has no length of text"),
    "GREATEST": (None, "ADQL 2.1 has no GREATEST"),
    "LEAST": (None, "ADQL 2.1 has no LEAST"),
    "NOW": (None, _NOW),
    "GETDATE": (None, _NOW),
    "TO_TIMESTAMP": (None, "write CAST('2026-01-31T00:00:00' AS TIMESTAMP)"),
    "TO_CHAR": (None, "write CAST(value AS VARCHAR)"),
    "STDDEV": (None, "from sums: SQRT(AVG(x * x) - AVG(x) * AVG(x))"),
    "STDEV": (None, "from sums: SQRT(AVG(x * x) - AVG(x) * AVG(x))"),
    "VARIANCE": (None, "from sums: AVG(x * x) - AVG(x) * AVG(x)"),
    "MEDIAN": (None, "ADQL 2.1 has no MEDIAN"),
    "Q3C_RADIAL_QUERY": (None, "write DISTANCE(POINT(ra, dec), POINT(lon, lat)) < radius"),
    "CONE": (None, "write DISTANCE(POINT(ra, dec), POINT(lon, lat)) < radius"),
}
"""Functions of other dialects: ADQL's name for the same, if it has one, and the advice."""


def is_reserved(word: str) -> bool:
    """Whether a regular identifier of this spelling is not allowed, whatever its case."""
    return word.upper() in RESERVED_WORDS


def spell(name: str) -> str:
    """A name as a query must write it: in double quotes when it is no regular identifier."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and not is_reserved(name):
        return name
    return '"' + name.replace('"', '""') + '"'
