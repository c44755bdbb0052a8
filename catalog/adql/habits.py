"""What people bring from other query languages: how ADQL says it, and the query put right."""

from __future__ import annotations

import re
from collections.abc import Iterator

from catalog.adql.pieces import Advice, Place, Rule
from catalog.adql.words import FOREIGN_FUNCTIONS, FOREIGN_SIGNS, FOREIGN_TYPES, FOREIGN_WORDS

__all__ = ["EARLY_HABITS", "HABITS"]

# --- signs ---------------------------------------------------------------------------------------------------


def _foreign_signs(place: Place) -> Iterator[Advice]:
    sign = place.word()
    if sign not in FOREIGN_SIGNS:
        return
    text = place.text
    for piece in reversed(place.pieces):
        if piece.text in FOREIGN_SIGNS:
            text = text[: piece.start] + FOREIGN_SIGNS[piece.text][0] + text[piece.end :]
    yield Advice(FOREIGN_SIGNS[sign][1], text)


def _infix(sign: str, form: str, hint: str) -> Rule:
    """A sign between two values that ADQL says in another way, wherever it stands."""

    def rule(place: Place) -> Iterator[Advice]:
        index = place.at - (place.word() == "*" == place.word(-1))
        if place.word_at(index) != sign and not (sign == "**" and index < place.at):
            return
        text: str | None = place.text
        for _ in range(6):
            text = None if text is None else _without_infix(text, sign, form)
            if text is None or sign not in (piece.text for piece in Place(text, 0).pieces):
                break
        yield Advice(hint, text)

    return rule


def _without_infix(text: str, sign: str, form: str) -> str | None:
    place = Place(text, 0)
    index = next((i for i, piece in enumerate(place.pieces) if piece.text == sign), None)
    if index is None:
        return text
    first, last = place.operand_before(index), place.operand_after(index)
    if first is None or last is None:
        return None
    right = place.span(index + 1, last)
    if sign == "::":
        if place.pieces[index + 1].word == "DOUBLE" and place.word_at(last + 1) == "PRECISION":
            last += 1
        right = _type(place.pieces[index + 1].word, place.span(index + 1, last))
    return place.put(first, last, form.format(place.span(first, index - 1), right))


def _type(word: str, written: str) -> str:
    """ADQL's name of a type; a length is kept where ADQL has one."""
    known = FOREIGN_TYPES.get(word)
    if known is None or "PRECISION" in written.upper():
        return written.upper()
    length = re.search(r"\(\s*\d+\s*\)", written)
    return known + (length.group() if length and known in ("CHAR", "VARCHAR") else "")


def _brackets(place: Place) -> Iterator[Advice]:
    if place.word() == "[":
        yield Advice('ADQL quotes names with "…"', re.sub(r"(?<!\w)\[([^\W\d]\w*)\]", r'"\1"', place.text))


def _block_comments(place: Place) -> Iterator[Advice]:
    if place.kind() == "comment":
        text = re.sub(r"/\*.*?\*/", " ", place.text, flags=re.DOTALL)
        yield Advice("comments start with -- and end with the line", text.strip())


_SIGN_HINTS = {
    "^": "write POWER(x, y)",
    "|": "|| joins text; ADQL has no bit operators",
    "&": "write AND",
    "!": "write NOT, or <>",
    "~": "ADQL has no regular expressions; LIKE takes % and _",
    "@": "ADQL has no variables",
    "$": "ADQL has no parameters",
    "?": "ADQL has no parameters",
    "#": "comments start with -- and end with the line",
    "{": "ADQL has no braces",
    ":": "angles are numbers in degrees, times stand in single quotes",
    "\\": "a quote within a text is written twice: ''",
    "<=>": "values compare with =, and with NULL by IS NULL",
    "||": "|| joins texts; CAST(… AS VARCHAR) makes text of a number",
}


def _signs(place: Place) -> Iterator[Advice]:
    word = place.word()
    if word.startswith("_"):
        yield Advice("a name starts with a letter; put others in double quotes", place.quote(place.at))
    elif word in _SIGN_HINTS:
        yield Advice(_SIGN_HINTS[word])


# --- clauses -------------------------------------------------------------------------------------------------

_ROWS = "ADQL limits rows at the front: SELECT TOP 10 …"
_LIMITS = (
    re.compile(r"LIMIT\s+(?P<offset>\d+)\s*,\s*(?P<top>\d+)", re.IGNORECASE),
    re.compile(r"LIMIT\s+(?P<top>\d+)(?:\s+OFFSET\s+(?P<offset>\d+))?", re.IGNORECASE),
    re.compile(r"OFFSET\s+(?P<offset>\d+)\s+LIMIT\s+(?P<top>\d+)", re.IGNORECASE),
    re.compile(
        r"(?:OFFSET\s+(?P<offset>\d+)\s+ROWS?\s+)?FETCH\s+(?:FIRST|NEXT)(?:\s+(?P<top>\d+))?\s+ROWS?\s+ONLY",
        re.IGNORECASE,
    ),
)


def _limits(place: Place) -> Iterator[Advice]:
    for shift in (0, -1, -2, -3):
        if place.word(shift) not in ("LIMIT", "FETCH", "OFFSET"):
            continue
        index = place.at + shift
        for pattern in _LIMITS:
            match = pattern.match(place.text, place.pieces[index].start)
            select = _governing_select(place, index)
            if match and select is not None:
                offset = f" OFFSET {match['offset']}" if match["offset"] else ""
                head, tail = place.text[: match.start()].rstrip(), place.text[match.end() :]
                start = place.pieces[select].end
                yield Advice(_ROWS, f"{head[:start]} TOP {match['top'] or 1}{head[start:]}{offset}{tail}")


def _governing_select(place: Place, index: int) -> int | None:
    """The last word before the select list of the one selection that a clause after it belongs to."""
    selects = [
        i for i in place.before_at_level(index) if place.word_at(i) in ("SELECT", "UNION", "EXCEPT", "INTERSECT")
    ]
    if len(selects) != 1 or place.word_at(selects[0]) != "SELECT":
        return None
    after = place.word_at(selects[0] + 1)
    return None if after == "TOP" else selects[0] + (after in ("DISTINCT", "ALL"))


def _top(place: Place) -> Iterator[Advice]:
    if place.word() == "(" and place.word(-1) == "TOP" and place.kind(1) == "number" and place.word(2) == ")":
        yield Advice("the number after TOP stands plain", place.put(place.at, place.at + 2, place.word(1)))
    if place.word() in ("DISTINCT", "ALL") and place.word(-2) == "TOP":
        swapped = f"{place.word()} TOP {place.word(-1)}"
        yield Advice(f"{place.word()} comes before TOP", place.put(place.at - 2, place.at, swapped))


def _tails(place: Place) -> Iterator[Advice]:
    if place.word() == "FOR" and place.depth == 0:
        yield Advice(FOREIGN_WORDS["FOR"], place.drop_rest(place.at))
    if place.word() == "NULLS" and place.word(1) in ("FIRST", "LAST"):
        default = "FIRST" if place.word(-1) == "DESC" else "LAST"
        text = place.drop(place.at, place.at + 1) if place.word(1) == default else None
        yield Advice(FOREIGN_WORDS["NULLS"], text)
    if place.word() == "WITH" and place.at > 0:
        yield Advice("WITH stands once, at the very front of the query")
    if place.word() == "(" and place.word(-2) == "WITH" and place.at == 2:
        yield Advice("the columns of a WITH query get their names inside it: SELECT x AS name")


def _sets(place: Place) -> Iterator[Advice]:
    if place.word() == "DISTINCT" and place.word(-1) in ("UNION", "EXCEPT", "INTERSECT"):
        yield Advice(f"{place.word(-1)} alone keeps distinct rows", place.drop(place.at, place.at))
    for shift in (0, -1):
        if place.word(shift) == "MINUS" and place.word(shift + 1) in ("SELECT", "("):
            yield Advice(FOREIGN_WORDS["MINUS"], place.put(place.at + shift, place.at + shift, "EXCEPT"))
    if place.word() in ("UNION", "EXCEPT", "INTERSECT") and place.at > 0:
        yield Advice("ORDER BY, TOP and OFFSET of one part need parentheses round it: (SELECT …) UNION …")


def _joins(place: Place) -> Iterator[Advice]:
    if place.word() == "CROSS" and place.word(1) == "JOIN":
        before = place.text[: place.pieces[place.at].start].rstrip()
        yield Advice(FOREIGN_WORDS["CROSS"], before + "," + place.text[place.pieces[place.at + 1].end :])
    if place.word(-1) == "USING" and place.kind() in ("word", "name"):
        name = place.put(place.at, place.at, f"({place.span(place.at, place.at)})")
        yield Advice("the columns of USING stand in parentheses", name)
    if place.word() in ("ON", "USING"):
        for index in place.before_at_level(place.at):
            if place.word_at(index) == "NATURAL":
                hint = "NATURAL JOIN matches the columns of one name; it takes no condition"
                yield Advice(hint, place.drop(index, index))
            if place.word_at(index) in ("NATURAL", "FROM"):
                break
    if place.word() == "OUTER":
        yield Advice("write LEFT, RIGHT or FULL before OUTER JOIN")


def _lacking_condition(place: Place) -> Iterator[Advice]:
    """JOIN without ON means every pair in some dialects."""
    words = []
    for index in place.before_at_level(place.at):
        words.append(place.word_at(index))
        if words[-1] in ("FROM", "ON", "USING"):
            return
        if words[-1] == "JOIN":
            break
    else:
        return
    first = index - (place.word_at(index - 1) == "INNER")
    if place.word_at(first - 1) in ("LEFT", "RIGHT", "FULL", "OUTER", "NATURAL"):
        return
    before = place.text[: place.pieces[first].start].rstrip()
    yield Advice(FOREIGN_WORDS["CROSS"] + " for every pair", before + "," + place.text[place.pieces[index].end :])


# --- values ---


# --- values and conditions -----------------------------------------------------------------------------------


def _tests(place: Place) -> Iterator[Advice]:
    word, before = place.word(), place.word(-1)
    spelled = {"NOTNULL": "IS NOT NULL", "ISNULL": "IS NULL"}
    if word in spelled and place.kind(-1) in ("word", "name"):
        yield Advice(f"write {spelled[word]}", place.put(place.at, place.at, spelled[word]))
    if (before, word) == ("NOT", "NULL"):
        yield Advice("write IS NOT NULL", place.put(place.at - 1, place.at, "IS NOT NULL"))
    if word in ("TRUE", "FALSE"):
        yield from _boolean(place, "1" if word == "TRUE" else "0")
    elif before == "IS" and word not in ("NOT", "NULL"):
        yield Advice("IS tests for NULL only; values compare with =", place.put(place.at - 1, place.at - 1, "="))
    elif (place.word(-2), before) == ("IS", "NOT"):
        yield Advice("IS tests for NULL only; values compare with <>", place.put(place.at - 2, place.at - 1, "<>"))
    if word in ("LIKE", "ILIKE") and place.word(1) == "(":
        yield from _called_like(place)
    if word == "SELECT" and before != ";":
        yield Advice("a subquery stands in FROM, in IN (…) or in EXISTS (…) only")


def _boolean(place: Place, digit: str) -> Iterator[Advice]:
    hint = FOREIGN_WORDS["TRUE"]
    if (place.word(-2), place.word(-1)) == ("IS", "NOT"):
        yield Advice(hint, place.put(place.at - 2, place.at, f"<> {digit}"))
    elif place.word(-1) == "IS":
        yield Advice(hint, place.put(place.at - 1, place.at, f"= {digit}"))
    else:
        yield Advice(hint, place.put(place.at, place.at, digit))


def _called_like(place: Place) -> Iterator[Advice]:
    closing = place.closing(place.at + 1)
    if closing is None:
        return
    commas = [i for i in place.before_at_level(closing) if place.word_at(i) == ","]
    if len(commas) == 1:
        text, pattern = place.span(place.at + 2, commas[0] - 1), place.span(commas[0] + 1, closing - 1)
        word = place.word()
        yield Advice(f"write text {word} pattern", place.put(place.at, closing, f"{text} {word} {pattern}"))


def _types(place: Place) -> Iterator[Advice]:
    if place.word(-1) == "AS" and place.word() in FOREIGN_TYPES:
        last = place.operand_after(place.at - 1)
        if last is not None and place.word_at(last + 1) == ")":
            right = _type(place.word(), place.span(place.at, last))
            yield Advice(f"ADQL calls it {right}", place.put(place.at, last, right))
    if place.word() == ")" and place.word(-1) == "DOUBLE":
        yield Advice("write DOUBLE PRECISION", place.insert(place.at, " PRECISION"))
    if place.word() in ("DATE", "TIMESTAMP", "TIME") and place.kind(1) == "string":
        hint = "a time beside a timestamp is plain text: '2026-01-31T00:00:00'"
        yield Advice(hint, place.drop(place.at, place.at))


def _foreign_words(place: Place) -> Iterator[Advice]:
    for shift in (0, -1):
        hint = FOREIGN_WORDS.get(place.word(shift))
        if place.word(shift + 1) == "(":
            _, hint = FOREIGN_FUNCTIONS.get(place.word(shift), (None, hint))
        if hint:
            yield Advice(hint)


EARLY_HABITS: tuple[Rule, ...] = (
    _foreign_signs,
    _infix("::", "CAST({} AS {})", "write CAST(value AS type)"),
    _infix("%", "MOD({}, {})", "write MOD(x, y)"),
    _infix("^", "POWER({}, {})", "write POWER(x, y)"),
    _infix("**", "POWER({}, {})", "write POWER(x, y)"),
    _brackets,
    _block_comments,
)
"""Signs, which leave no doubt."""

HABITS: tuple[Rule, ...] = (
    _types,
    _limits,
    _top,
    _tails,
    _sets,
    _joins,
    _lacking_condition,
    _tests,
    _foreign_words,
    _signs,
)
"""Words, which may be meant as names."""
