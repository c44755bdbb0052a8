"""Say what is wrong with a query so that the asker learns how to put it right."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from catalog.adql.nodes import Span
from catalog.adql.words import FOREIGN_WORDS, is_reserved
from catalog.errors import QueryError

__all__ = ["explain_token", "fault_at", "render_diagnostic", "suggest"]

_WIDTH = 100
"""Longest piece of a query line that is shown."""


def fault_at(text: str, span: Span | int, message: str, *, code: str = "syntax", hint: str | None = None) -> QueryError:
    """A fault that points at a place in the text; a bare offset means one character."""
    if isinstance(span, int):
        span = Span(span, span + 1)
    start = min(span.start, len(text))
    newline = text.find("\n", start)
    stop = span.end if newline < 0 else min(span.end, newline)
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    return QueryError(message, code=code, line=line, column=column, length=max(stop - start, 1), hint=hint)


def render_diagnostic(query: str, error: QueryError) -> str:
    """The message with the line of the query it means, a caret under the place, and the hint.

    Args:
        query: The text that was asked.
        error: What was wrong with it.

    Returns:
        Several lines without a final newline.
    """
    parts = [error.message]
    if error.line is not None and error.column is not None:
        parts[0] = f"line {error.line}, column {error.column}: {error.message}"
        lines = query.split("\n")
        if error.line <= len(lines):
            parts += _excerpt(lines[error.line - 1].rstrip("\r"), error.column - 1, error.length)
    if error.hint:
        parts.append(f"hint: {error.hint}")
    return "\n".join(parts)


def _excerpt(line: str, column: int, length: int) -> list[str]:
    start = max(0, column - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    caret = column - start
    before = "".join("\t" if sign == "\t" else " " for sign in shown[:caret])
    return ["  " + shown, "  " + before + "^" * max(1, min(length, len(shown) - caret))]


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """A did-you-mean for a name that is not among the candidates; None when nothing is near."""
    folded = {candidate.lower(): candidate for candidate in candidates}
    near = get_close_matches(name.lower(), folded, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(folded[word] for word in near)}?" if near else None


# --- syntax --------------------------------------------------------------------------------------------------

_SPELLED = {
    "$END": "the end of the query",
    "_LPAR": "(",
    "_RPAR": ")",
    "_COMMA": ",",
    "_DOT": ".",
    "STAR": "*",
    "COMPARISON": "a comparison (=, <>, <, >, <=, >=)",
    "LITERALS": "a list",
}
_VALUE = {"UINT", "DECIMAL", "STRING", "NAME", "DELIMITED", "FUNCTION"}
_VALUE_STARTS = _VALUE | {
    "NULL_VALUE", "GEOMETRY_TYPE", "AGGREGATE", "COUNT", "CAST", "PLUS", "MINUS", "_LPAR",
}  # fmt: skip
_CONTINUES = {"PLUS", "MINUS", "STAR", "SLASH", "_CONCAT", "_SEMICOLON", "_DOT"}
_TYPE_WORDS = {"CHARACTER_TYPE", "NUMBER_TYPE", "DOUBLE"}
_TESTS = {"COMPARISON", "_BETWEEN", "_IN", "LIKE", "ILIKE", "_IS", "NOT"}
_JOINS = {"INNER", "LEFT", "RIGHT", "FULL", "_JOIN", "_NATURAL"}
_SETS = {"UNION", "EXCEPT", "INTERSECT"}


def explain_token(text: str, word: str, span: Span, kind: str, expected: Collection[str]) -> QueryError:
    """The fault for a token that cannot stand where it stands.

    Args:
        text: The whole query.
        word: The token as written; empty at the end of the query.
        span: Where it stands.
        kind: The grammar's name for it.
        expected: The grammar's names for what could stand there.
    """
    at_end = kind == "$END"
    if "_ON" in expected and kind not in _JOINS and kind != "NAME":
        message = "JOIN needs a condition: ON … or USING (…)"
        pairs = "ADQL has no CROSS JOIN; write FROM a, b for every pair"
        return fault_at(text, span, message, code="join-condition", hint=pairs)
    hint = FOREIGN_WORDS.get(word.upper()) or _hint(text, word, span, kind)
    if "NAME" in expected and is_reserved(word) and hint is None:
        hint = f'{word.upper()} is a reserved word of ADQL; as a name write "{word}"'
    found = "the query ends too early" if at_end else f"'{_shorten(word)}' cannot stand here"
    return fault_at(text, span, f"{found}; expected {_alternatives(set(expected))}", hint=hint)


def _hint(text: str, word: str, span: Span, kind: str) -> str | None:
    before = text[: span.start].rstrip()
    previous = before.rsplit(None, 1)[-1].upper() if before else ""
    if previous in FOREIGN_WORDS:
        return FOREIGN_WORDS[previous]
    if kind == "STRING" and before.endswith("'"):
        return "ADQL does not join neighbouring strings; write 'a' || 'b'"
    if kind == "_SEMICOLON" or before.endswith(";"):
        return "one query at a time, with at most one ; at its end"
    if before.endswith(",") and kind not in ("_LPAR", "STAR"):
        return "is there a comma too many?"
    if kind == "DELIMITED":
        return "text stands in single quotes; double quotes are for names"
    return None


def _shorten(word: str) -> str:
    return word if len(word) <= 40 else word[:37] + "…"


def _alternatives(expected: set[str]) -> str:
    """What may stand in a place, in an asker's words."""
    words: list[str] = []
    if expected >= _VALUE:
        words.append("a value")
        expected -= _VALUE_STARTS
    elif "NAME" in expected:
        words.append("a name")
        expected -= {"NAME", "DELIMITED"}
    if expected >= _TYPE_WORDS:
        return "a type: SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, CHAR, VARCHAR, TIMESTAMP"
    if expected & {"COMPARISON", "_BETWEEN"}:
        words.append("a comparison (=, <>, <, >, <=, >=, BETWEEN, IN, LIKE, IS NULL)")
        expected -= _TESTS
    if len(expected) > 4:
        expected -= _CONTINUES | ({"_OUTER"} if "_JOIN" in expected else set())
    for group, spelled in ((_JOINS, "JOIN"), (_SETS, "UNION, EXCEPT or INTERSECT")):
        if expected & group:
            expected -= group
            words.append(spelled)
    words += sorted(_SPELLED.get(name, name.lstrip("_")) for name in expected)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1] if words else "nothing more"
