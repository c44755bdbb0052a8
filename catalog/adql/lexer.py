"""Cut ADQL text into tokens (section 2.1), with the limits that keep a hostile query cheap.

Parsing cannot be interrupted, so length, number of tokens and depth of parentheses are bounded here, before the
grammar is asked. A list of plain literals after IN is one token however long it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lark import Token

from catalog.adql.diagnostics import fault_at
from catalog.adql.nodes import Span
from catalog.adql.words import RESERVED_WORDS
from catalog.errors import QueryError

__all__ = ["LITERAL", "MAX_CHARACTERS", "MAX_DEPTH", "MAX_TOKENS", "tokenize"]

MAX_CHARACTERS = 800_000
"""Longest query, in characters: room for an IN list of 20,000 identifiers of ordinary length."""

MAX_TOKENS = 20_000
"""A list of literals counts once."""

MAX_DEPTH = 64
"""Open parentheses at any one place."""

_NUMBER = r"(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?|\d+"
_STRING = r"'[^']*(?:''[^']*)*'"
LITERAL = re.compile(rf"(?P<string>{_STRING})|(?P<number>[+-]?\s*(?:{_NUMBER}))")
"""One literal of a LITERALS token: a string or a number with its sign."""

_ITEM = rf"(?:{_STRING}|[+-]?[ \t\r\n\f]*(?:{_NUMBER}))"
_GAP = r"[ \t\r\n\f]*"
_LITERALS = re.compile(rf"\({_GAP}{_ITEM}(?:{_GAP},{_GAP}{_ITEM})*{_GAP}\)")

# A word may stick to a number, as in ``ORDER BY 2desc``; what looks like a number of another kind is refused.
_TOKEN = re.compile(
    rf"""(?P<space>(?:[ \t\r\n\f]+|--[^\r\n]*)+)
    |(?P<word>[A-Za-z][A-Za-z0-9_]*)
    |(?P<number>(?!0[xX])(?:{_NUMBER})(?![0-9_.]|[eE](?![A-Za-z])))
    |(?P<string>{_STRING})
    |(?P<delimited>"[^"]+(?:""[^"]*)*"|"(?:""[^"]*)+")
    |(?P<comparison><>|!=|<=|>=|[=<>](?!=))
    |(?P<symbol>\|\||[-+*/(),.;])""",
    re.VERBOSE,
)

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no database takes, in text or names."""

_SYMBOLS = {
    "||": "_CONCAT",
    "-": "MINUS",
    "+": "PLUS",
    "*": "STAR",
    "/": "SLASH",
    "(": "_LPAR",
    ")": "_RPAR",
    ",": "_COMMA",
    ".": "_DOT",
    ";": "_SEMICOLON",
}

_SILENT = """
    AND AS BETWEEN BY FROM GROUP HAVING IN IS JOIN NATURAL OFFSET ON OR ORDER OUTER PRECISION TOP USING WHERE WITH
    """  # fmt: skip
_VISIBLE = """
    ALL ASC CAST COUNT DESC DISTINCT DOUBLE EXCEPT EXISTS FULL ILIKE INNER INTERSECT LEFT LIKE NOT RIGHT SELECT UNION
    """  # fmt: skip
_FUNCTIONS = """
    ABS ACOS AREA ASIN ATAN ATAN2 BOX CEILING CENTROID COALESCE CONTAINS COORD1 COORD2 COORDSYS COS COT DEGREES
    DISTANCE EXP FLOOR INTERSECTS IN_UNIT LOG LOG10 LOWER MOD PI POWER RADIANS RAND REGION ROUND SIN SQRT TAN
    TRUNCATE UPPER
    """  # fmt: skip

_WORDS: dict[str, str] = dict.fromkeys(RESERVED_WORDS, "RESERVED")
_WORDS |= {word: "_" + word for word in _SILENT.split()}
_WORDS |= {word: word for word in _VISIBLE.split()}
_WORDS |= dict.fromkeys(_FUNCTIONS.split(), "FUNCTION")
_WORDS |= dict.fromkeys(("CIRCLE", "POINT", "POLYGON"), "GEOMETRY_TYPE")
_WORDS |= dict.fromkeys(("AVG", "MAX", "MIN", "SUM"), "AGGREGATE")
_WORDS |= dict.fromkeys(("CHAR", "VARCHAR"), "CHARACTER_TYPE")
_WORDS |= dict.fromkeys(("SMALLINT", "INTEGER", "BIGINT", "REAL", "TIMESTAMP"), "NUMBER_TYPE")
_WORDS["NULL"] = "NULL_VALUE"


def tokenize(text: str) -> list[Token]:
    """The tokens of a query, without blanks and comments.

    Raises:
        QueryError: The text is too long, too deep, or holds something that is no token of ADQL; code ``too-long``,
            ``too-deep`` or ``syntax``.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"the query has {len(text)} characters; at most {MAX_CHARACTERS} are read"
        raise QueryError(message, code="too-long", hint="upload long lists as a table and join it")
    unstorable = _UNSTORABLE.search(text)
    if unstorable:
        message = f"a query cannot hold the character U+{ord(unstorable.group()):04X}"
        raise fault_at(text, unstorable.start(), message)
    tokens: list[Token] = []
    depth = 0
    for kind, value, start in _scan(text):
        if kind == "_LPAR":
            depth += 1
            if depth > MAX_DEPTH:
                raise fault_at(text, start, f"more than {MAX_DEPTH} parentheses are open here", code="too-deep")
        elif kind == "_RPAR":
            depth -= 1
        tokens.append(Token(kind, value, start_pos=start, end_pos=start + len(value)))
        if len(tokens) > MAX_TOKENS:
            raise fault_at(text, start, f"the query has more than {MAX_TOKENS} words and signs", code="too-long")
    return tokens


def _scan(text: str) -> Iterator[tuple[str, str, int]]:
    position = 0
    after_in = False
    while position < len(text):
        if after_in and text[position] == "(":
            literals = _LITERALS.match(text, position)
            if literals:
                yield "LITERALS", literals.group(), position
                position, after_in = literals.end(), False
                continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise _illegal(text, position)
        group = str(match.lastgroup)
        if group != "space":
            kind = _kind(group, match.group())
            yield kind, match.group(), position
            after_in = kind == "_IN"
        position = match.end()


def _kind(group: str, value: str) -> str:
    if group == "word":
        return _WORDS.get(value.upper(), "NAME")
    if group == "number":
        return "UINT" if value.isdigit() else "DECIMAL"
    if group == "symbol":
        return _SYMBOLS[value]
    return group.upper()


def _illegal(text: str, position: int) -> QueryError:
    """Say what is wrong with a character that starts no token."""
    sign = text[position]
    if sign == "'":
        return fault_at(text, position, "this string does not end; expected a closing '")
    if sign == '"':
        return fault_at(text, position, 'this name is empty or does not end; expected a closing "')
    if sign.isascii() and (sign.isdigit() or sign == "."):
        word = re.match(r"[\w.]+", text[position : position + 64])
        end = position + (word.end() if word else 1)
        return fault_at(text, Span(position, end), f"'{text[position:end]}' is neither a number nor a name")
    if sign.isprintable() and sign != " ":
        return fault_at(text, position, f"'{sign}' has no meaning in ADQL outside quotes")
    return fault_at(text, position, f"the character U+{ord(sign):04X} has no meaning in ADQL outside quotes")
