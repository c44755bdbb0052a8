"""Slips of the pen: commas, parentheses, words too many, missing or misspelt, names that need quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from catalog.adql.pieces import Advice, Place, Rule
from catalog.adql.words import FOREIGN_WORDS, KEYWORDS, is_reserved

__all__ = ["EARLY_SLIPS", "SLIPS"]

_CLAUSES = ("FROM", "WHERE", "GROUP", "HAVING", "ORDER", "OFFSET")
_FRONT = "the order is SELECT … FROM … WHERE … GROUP BY … HAVING … ORDER BY … OFFSET …"


def _order_of_clauses(place: Place) -> Iterator[Advice]:
    word = place.word()
    if word in ("GROUP", "ORDER") or place.word(-1) not in ("GROUP", "ORDER"):
        if word in _CLAUSES:
            later = _CLAUSES[_CLAUSES.index(word) :]
            if any(place.word_at(index) in later for index in place.before_at_level(place.at)):
                yield Advice(_FRONT)
        return
    yield Advice(f"write {place.word(-1)} BY", place.insert(place.at, "BY "))


def _commas(place: Place) -> Iterator[Advice]:
    if place.word(-1) == "," and (place.word() in (*_CLAUSES, ")", ",", ";", "")):
        yield Advice("is there a comma too many?", place.drop(place.at - 1, place.at - 1))
    if place.word() == "," and place.word(-1) in ("SELECT", "(", "BY", "FROM"):
        yield Advice("is there a comma too many?", place.drop(place.at, place.at))


def _parentheses(place: Place) -> Iterator[Advice]:
    depth = place.depth
    if place.word() == ")" and depth < 1:
        yield Advice("this ) closes nothing", place.drop(place.at, place.at))
    if depth > 0 and place.word() in ("", ";", *_CLAUSES):
        yield Advice("a parenthesis is not closed", place.append(place.at, ")" * depth))


def _lists(place: Place) -> Iterator[Advice]:
    if place.word(-1) == "IN" and place.kind() in ("word", "number", "string", "name"):
        last = place.operand_after(place.at - 1)
        if last is not None and not is_reserved(place.word()):
            text = place.put(place.at, last, f"({place.span(place.at, last)})")
            yield Advice("the values of IN stand in parentheses", text)
    if place.word() == "," and place.word(-2) == "BETWEEN":
        before = place.text[: place.pieces[place.at].start].rstrip()
        yield Advice("write BETWEEN low AND high", before + " AND" + place.text[place.pieces[place.at].end :])
    if place.word() == ")" and place.word(-1) == "(" and place.word(-2) == "COUNT":
        yield Advice("COUNT(*) counts rows", place.insert(place.at, "*"))


# --- values and conditions ---


def _bare_times(place: Place) -> Iterator[Advice]:
    found = list(re.finditer(r"(?<!')\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d*)?)?Z?)?", place.text))
    here = place.pieces[place.at].start if place.at < len(place.pieces) else len(place.text)
    for match in found:
        if match.start() <= here <= match.end() and place.kind() != "string":
            text = place.text[: match.start()] + "'" + match.group() + "'" + place.text[match.end() :]
            yield Advice("times stand in single quotes", text)


def _bare_predicates(place: Place) -> Iterator[Advice]:
    first = place.operand_before(place.at)
    if first is not None and place.word_at(place.at - 1) == ")":
        name = place.word_at(first)
        if name in ("CONTAINS", "INTERSECTS") or name.startswith("IVO_"):
            yield Advice(f"{name} is 1 or 0: write 1 = {name}(…)", place.insert(first, "1 = "))


def _missing_words(place: Place) -> Iterator[Advice]:
    if place.word() in ("", ")", ";", *_CLAUSES) and place.word(-1) in ("AND", "OR", "WHERE"):
        yield Advice(f"nothing follows {place.word(-1)}", place.drop(place.at - 1, place.at - 1))
    in_condition = any(place.word_at(index) in ("WHERE", "ON", "HAVING") for index in place.before_at_level(place.at))
    if in_condition and place.kind() in ("word", "name") and place.kind(-1) in ("number", "string"):
        yield Advice("is AND missing?", place.insert(place.at, "AND "), is_guess=True)
    if place.word() in ("", ";", "WHERE") and "FROM" not in (piece.word for piece in place.pieces):
        yield Advice("ADQL needs a table: SELECT … FROM …")


def _statements(place: Place) -> Iterator[Advice]:
    if place.word() == ";" or place.word(-1) == ";":
        hint = "one query at a time, with at most one ; at its end"
        yield Advice(hint, place.drop(place.at, place.at) if place.word() == ";" else None)
    if place.kind() == "name" and place.kind(-1) not in ("word", "name"):
        yield Advice("text stands in single quotes; double quotes are for names")


# --- names and keywords --------------------------------------------------------------------------------------


def _named(place: Place) -> Iterator[Advice]:
    """A reserved word where nothing but a name can stand."""
    if place.kind() == "word" and is_reserved(place.word()) and place.word(-1) in ("AS", "."):
        yield _as_name(place, place.at)


def _reserved(place: Place) -> Iterator[Advice]:
    for shift in (0, -1):
        word, index = place.word(shift), place.at + shift
        if place.kind(shift) != "word" or not is_reserved(word) or place.word(shift + 1) == "(":
            continue
        if word in ("PI", "RAND"):
            yield Advice(f"{word} is a function: {word}()", place.append(index + 1, "()"))
        elif word not in KEYWORDS and word not in FOREIGN_WORDS:
            yield from _called(place, index)
            yield _as_name(place, index)


def _called(place: Place, index: int) -> Iterator[Advice]:
    """A function whose argument stands without parentheses."""
    last = place.operand_after(index)
    if last is not None and last == index + 1 and not is_reserved(place.word_at(last)):
        called = f"{place.pieces[index].text}({place.pieces[last].text})"
        yield Advice("arguments stand in parentheses", place.put(index, last, called), is_guess=True)


def _name_in_single_quotes(place: Place) -> Iterator[Advice]:
    if place.kind() == "string" and place.word(-1) in ("AS", "FROM", "JOIN", "."):
        name = place.pieces[place.at].text[1:-1].replace("''", "'").replace('"', '""')
        yield Advice("names stand in double quotes, or plain", place.put(place.at, place.at, f'"{name}"'))


def _nameless_subquery(place: Place) -> Iterator[Advice]:
    opening = place.opening(place.at - 1) if place.word(-1) == ")" else None
    if opening is not None and place.word_at(opening + 1) == "SELECT":
        hint = "a subquery in FROM needs a name: (SELECT …) AS x"
        yield Advice(hint, place.append(place.at, " AS x"), is_guess=True)


def _chained_comparison(place: Place) -> Iterator[Advice]:
    signs = ("=", "<", ">", "<=", ">=", "<>", "!=")
    if place.word() in signs and any(place.word(shift) in signs for shift in (-2, -4)):
        yield Advice("compare twice: low < x AND x < high")


def _as_name(place: Place, index: int) -> Advice:
    word = place.pieces[index].text
    return Advice(f'{word.upper()} is a reserved word of ADQL; as a name write "{word}"', place.quote(index))


def _misspelt(place: Place) -> Iterator[Advice]:
    for shift in (0, -1, -2):
        word, index = place.word(shift), place.at + shift
        if place.kind(shift) != "word" or is_reserved(word) or word in FOREIGN_WORDS:
            continue
        if word in ("ORDERBY", "GROUPBY"):
            yield Advice(f"write {word[:5]} BY", place.put(index, index, f"{word[:5]} BY"))
        for keyword in get_close_matches(word, KEYWORDS, n=1, cutoff=0.74):
            text = place.put(index, index, keyword)
            yield Advice(f"did you mean {keyword}?", text, is_guess=True)


def _missing_comma(place: Place) -> Iterator[Advice]:
    if all(place.kind(shift) in ("word", "name") for shift in (-2, -1, 0)):
        yield Advice("is a comma missing?", place.append(place.at, ","), is_guess=True)


EARLY_SLIPS: tuple[Rule, ...] = (_bare_times, _named)
"""Those that would be taken for something else."""

SLIPS: tuple[Rule, ...] = (
    _commas,
    _lists,
    _name_in_single_quotes,
    _nameless_subquery,
    _chained_comparison,
    _bare_predicates,
    _statements,
    _parentheses,
    _missing_words,
    _reserved,
    _misspelt,
    _missing_comma,
    _order_of_clauses,
)
"""The likelier ones first."""
