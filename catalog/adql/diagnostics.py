"""Say what is wrong with a query so that the asker learns how to put it right."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from catalog.adql.nodes import Span
from catalog.errors import QueryError

__all__ = ["explain_token", "fault_at", "nearest", "offset_of", "render_diagnostic", "suggest", "too_nested"]

_WIDTH = 100
"""Longest piece of a query line that is shown."""

_LONGEST_PROPOSAL = 4_000
_LONGEST_MESSAGE = 400


def fault_at(
    text: str,
    span: Span | int,
    message: str,
    *,
    code: str = "syntax",
    hint: str | None = None,
    replacement: str | None = None,
) -> QueryError:
    """A fault that points at a place in the text.

    Args:
        text: The query.
        span: Where; a bare offset means one character.
        message: What was wrong and what was expected.
        code: Stable word for the kind of mistake.
        hint: What to do about it.
        replacement: What to write there instead; the fault then proposes the query with it.
    """
    if isinstance(span, int):
        span = Span(span, span + 1)
    start = min(span.start, len(text))
    newline = text.find("\n", start)
    stop = span.end if newline < 0 else min(span.end, newline)
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    proposal = None
    if replacement is not None and len(text) <= _LONGEST_PROPOSAL:
        proposal = text[:start] + replacement + text[span.end :]
    length = max(stop - start, 1)
    message = _shorten(message, _LONGEST_MESSAGE)  # names can be as long as the query
    return QueryError(message, code=code, line=line, column=column, length=length, hint=hint, proposal=proposal)


def too_nested() -> QueryError:
    """The fault for a query that nests deeper than can be followed."""
    return QueryError("this query nests too deeply", code="too-complex", hint="ask for parts of it one by one")


def offset_of(text: str, fault: QueryError) -> int:
    """Where in the text a fault points: the opposite of `fault_at`."""
    if fault.line is None or fault.column is None:
        return 0
    start = 0
    for _ in range(fault.line - 1):
        start = text.find("\n", start) + 1
    return start + fault.column - 1


def render_diagnostic(query: str, error: QueryError) -> str:
    """The message with the line of the query it means, a caret under the place, the hint and the proposed query.

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
    if error.proposal:
        parts.append("proposed query, not run:")
        parts += ["  " + line.rstrip("\r") for line in error.proposal.split("\n")]
    return "\n".join(parts)


def _excerpt(line: str, column: int, length: int) -> list[str]:
    start = max(0, column - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    caret = column - start
    before = "".join("\t" if sign == "\t" else " " for sign in shown[:caret])
    return ["  " + shown, "  " + before + "^" * max(1, min(length, len(shown) - caret))]


def nearest(name: str, candidates: Iterable[str]) -> list[str]:
    """Candidates that a name may be a slip of, the likeliest first."""
    folded = {candidate.lower(): candidate for candidate in candidates}
    word = name.lower()
    close = get_close_matches(word, folded, n=3, cutoff=0.7)
    ending = [candidate for candidate in folded if candidate.endswith("_" + word)]
    return [folded[candidate] for candidate in (close or sorted(ending))[:3]]


def suggest(near: Iterable[str]) -> str | None:
    """A did-you-mean for what `nearest` found; None for nothing."""
    names = list(near)
    return f"did you mean {' or '.join(names)}?" if names else None


# --- syntax --------------------------------------------------------------------------------------------------

_VALUE = frozenset({"UINT", "DECIMAL", "STRING", "NAME", "DELIMITED", "FUNCTION"})
_VALUE_STARTS = _VALUE | {"NULL_VALUE", "GEOMETRY_TYPE", "AGGREGATE", "COUNT", "CAST", "PLUS", "MINUS", "_LPAR"}
_GROUPS: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (_VALUE, _VALUE_STARTS, "a value"),
    (
        frozenset({"CHARACTER_TYPE", "NUMBER_TYPE", "DOUBLE"}),
        frozenset({"CHARACTER_TYPE", "NUMBER_TYPE", "DOUBLE", "GEOMETRY_TYPE"}),
        "a type: SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, CHAR, VARCHAR, TIMESTAMP, POINT, CIRCLE, POLYGON",
    ),
    (frozenset({"NAME"}), frozenset({"NAME", "DELIMITED"}), "a name"),
    (
        frozenset({"COMPARISON", "_BETWEEN"}),
        frozenset({"COMPARISON", "_BETWEEN", "_IN", "LIKE", "ILIKE", "_IS", "NOT"}),
        "a comparison (=, <>, <, >, <=, >=, BETWEEN, IN, LIKE, ILIKE, IS NULL)",
    ),
    (frozenset({"_JOIN", "_NATURAL"}), frozenset({"INNER", "LEFT", "RIGHT", "FULL", "_JOIN", "_NATURAL"}), "JOIN"),
    (frozenset({"PLUS", "SLASH"}), frozenset({"PLUS", "MINUS", "STAR", "SLASH", "_CONCAT", "_DOT"}), ""),
    (frozenset({"_CONCAT"}), frozenset({"_CONCAT", "_DOT"}), ""),
    (frozenset({"$END"}), frozenset({"_SEMICOLON"}), ""),
    (frozenset({"LITERALS"}), frozenset({"LITERALS"}), ""),
)
"""What announces a group of terminals, the whole group, and what to call it; nothing for what goes without saying."""

_SPELLED = {
    "_COMMA": "','",
    "_LPAR": "'('",
    "_RPAR": "')'",
    "_DOT": "'.'",
    "STAR": "*",
    "PLUS": "+",
    "MINUS": "-",
    "SLASH": "/",
    "_CONCAT": "||",
    "_SEMICOLON": "';'",
    "NAME": "a name",
    "UINT": "a whole number",
    "STRING": "text in single quotes",
    "NULL_VALUE": "NULL",
    "COMPARISON": "a comparison",
    "_AS": "AS",
    "_ON": "ON",
    "_USING": "USING",
    "_FROM": "FROM",
    "_WHERE": "WHERE",
    "_GROUP": "GROUP BY",
    "_HAVING": "HAVING",
    "_ORDER": "ORDER BY",
    "_OFFSET": "OFFSET",
    "UNION": "UNION",
    "EXCEPT": "EXCEPT",
    "INTERSECT": "INTERSECT",
}
"""In the order in which they are listed; others follow by name."""


def explain_token(text: str, word: str, span: Span, kind: str, expected: Collection[str]) -> QueryError:
    """The fault for a token that cannot stand where it stands.

    Args:
        text: The whole query.
        word: The token as written; empty at the end of the query.
        span: Where it stands.
        kind: The grammar's name for it.
        expected: The grammar's names for what could stand there.
    """
    if "_ON" in expected and kind != "NAME" and "NAME" not in expected:
        return fault_at(text, span, "JOIN needs a condition: ON … or USING (…)", code="join-condition")
    found = "the query ends too early" if kind == "$END" else f"'{_shorten(word)}' cannot stand here"
    return fault_at(text, span, f"{found}; expected {_alternatives(set(expected))}")


def _shorten(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _alternatives(expected: set[str]) -> str:
    """What may stand in a place, in an asker's words."""
    words: list[str] = []
    for mark, group, spelled in _GROUPS:
        if expected >= mark and expected & group != expected:
            expected -= group
            words += [spelled] if spelled else []
        elif expected >= mark:
            return spelled or "nothing more"
    at_end = "$END" in expected
    words += [spelled for name, spelled in _SPELLED.items() if name in expected]
    words += sorted(name.lstrip("_") for name in expected - _SPELLED.keys() - {"$END"})
    words += ["the end of the query"] if at_end else []
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1] if words else "nothing more"
