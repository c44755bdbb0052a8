"""Any text, ADQL or not, cut into words and signs, and edited piece by piece: what advice is made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from catalog.adql.words import KEYWORDS

__all__ = ["Advice", "Piece", "Place", "Rule", "cut"]

_PIECE = re.compile(
    r"""(?P<blank>[ \t\r\n\f]+|--[^\r\n]*)
    |(?P<comment>/\*.*?(?:\*/|\Z))
    |(?P<word>[^\W\d]\w*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<string>'[^']*(?:''[^']*)*')
    |(?P<name>"[^"]*(?:""[^"]*)*")
    |(?P<sign>::|==|&&|\|\||\*\*|<=>|<>|!=|<=|>=|=>|=<|!<|!>|.)""",
    re.VERBOSE | re.DOTALL,
)


class Piece(NamedTuple):
    """A word or sign of the text."""

    kind: str
    """``word``, ``number``, ``string``, ``name`` (in double quotes), ``comment`` or ``sign``."""

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """In capitals."""
        return self.text.upper()

    @property
    def is_operand(self) -> bool:
        """Whether a value may end here."""
        return self.kind in ("word", "number", "string", "name") or self.text == ")"


def cut(text: str) -> Iterator[Piece]:
    """The pieces of a text, without blanks and line comments."""
    for match in _PIECE.finditer(text):
        if match.lastgroup != "blank":
            yield Piece(str(match.lastgroup), match.group(), match.start(), match.end())


class Place:
    """A piece of a text, and the pieces around it.

    Args:
        text: The query.
        offset: Where in it.
    """

    def __init__(self, text: str, offset: int) -> None:
        self.text = text
        self.pieces = tuple(cut(text))
        self.at = next((i for i, piece in enumerate(self.pieces) if piece.end > offset), len(self.pieces))
        """Index of the piece; the number of pieces at the end of the text."""

    def word(self, shift: int = 0) -> str:
        """The piece so many places on, in capitals; empty beyond the ends."""
        return self.word_at(self.at + shift)

    def word_at(self, index: int) -> str:
        """The piece at an index, in capitals; empty beyond the ends."""
        return self.pieces[index].word if 0 <= index < len(self.pieces) else ""

    def kind(self, shift: int = 0) -> str:
        """The kind of the piece so many places on; empty beyond the ends."""
        index = self.at + shift
        return self.pieces[index].kind if 0 <= index < len(self.pieces) else ""

    @property
    def depth(self) -> int:
        """How many parentheses are open before the piece."""
        before = [piece.text for piece in self.pieces[: self.at]]
        return before.count("(") - before.count(")")

    # --- edits ---

    def put(self, first: int, last: int, new: str) -> str:
        """The text with pieces replaced."""
        return self.text[: self.pieces[first].start] + new + self.text[self.pieces[last].end :]

    def drop(self, first: int, last: int) -> str:
        """The text without some pieces."""
        before, after = self.text[: self.pieces[first].start].rstrip(), self.text[self.pieces[last].end :].lstrip()
        joint = " " if after and after[0] not in ",;)" and before[-1:] not in ("", "(") else ""
        return before + joint + after

    def drop_rest(self, first: int) -> str:
        """The text up to a piece."""
        return self.text[: self.pieces[first].start].rstrip()

    def insert(self, index: int, new: str) -> str:
        """The text with something put before a piece, or at its end."""
        if index >= len(self.pieces):
            return self.text.rstrip() + new
        start = self.pieces[index].start
        return self.text[:start] + new + self.text[start:]

    def append(self, index: int, new: str) -> str:
        """The text with something put right behind the piece before one."""
        end = self.pieces[index - 1].end
        return self.text[:end] + new + self.text[end:]

    def quote(self, index: int) -> str:
        """The text with a piece in double quotes."""
        return self.put(index, index, f'"{self.pieces[index].text}"')

    def span(self, first: int, last: int) -> str:
        """The text of some pieces, as written."""
        return self.text[self.pieces[first].start : self.pieces[last].end]

    # --- neighbours ---

    def opening(self, closing: int) -> int | None:
        """Index of the parenthesis that one closes."""
        open_now = 0
        for index in range(closing, -1, -1):
            open_now += {")": 1, "(": -1}.get(self.pieces[index].text, 0)
            if open_now == 0:
                return index
        return None

    def closing(self, opening: int) -> int | None:
        """Index of the parenthesis that closes one."""
        open_now = 0
        for index in range(opening, len(self.pieces)):
            open_now += {"(": 1, ")": -1}.get(self.pieces[index].text, 0)
            if open_now == 0:
                return index
        return None

    def operand_before(self, index: int) -> int | None:
        """Index of the first piece of the value that ends right before a piece; None when there is none."""
        first = index - 1
        if first < 0 or not self.pieces[first].is_operand:
            return None
        if self.pieces[first].text == ")":
            opening = self.opening(first)
            if opening is None:
                return None
            called = opening > 0 and self.pieces[opening - 1].kind == "word"
            called = called and self.word_at(opening - 1) not in KEYWORDS
            return opening - 1 if called else opening
        while first >= 2 and self.pieces[first - 1].text == "." and self.pieces[first - 2].kind in ("word", "name"):
            first -= 2
        return first

    def operand_after(self, index: int) -> int | None:
        """Index of the last piece of the value that begins right after a piece; None when there is none."""
        last = index + 1
        if last >= len(self.pieces):
            return None
        if self.pieces[last].text == "(":
            return self.closing(last)
        if self.pieces[last].kind not in ("word", "number", "string", "name"):
            return None
        while self.word_at(last + 1) == "." and last + 2 < len(self.pieces):
            last += 2
        return self.closing(last + 1) if self.word_at(last + 1) == "(" else last

    def before_at_level(self, index: int) -> Iterator[int]:
        """Indexes of the earlier pieces that stand in the same parentheses, backwards."""
        open_now = 0
        for earlier in range(index - 1, -1, -1):
            text = self.pieces[earlier].text
            if text == ")":
                open_now += 1
            elif text == "(":
                open_now -= 1
                if open_now < 0:
                    return
            elif open_now == 0:
                yield earlier


class Advice(NamedTuple):
    """A hint, and perhaps the query put right."""

    hint: str | None
    proposal: str | None = None
    is_guess: bool = False
    """Whether the hint is worth nothing unless the grammar accepts the proposal."""


Rule: TypeAlias = Callable[[Place], Iterator[Advice]]
"""Looks at the place of a fault; yields nothing when it knows nothing."""
