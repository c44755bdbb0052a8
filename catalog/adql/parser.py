"""ADQL text → tree. Knows the grammar and no table (ADQL 2.1 appendix A)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from catalog.adql import nodes
from catalog.adql.advice import advise
from catalog.adql.builder import MisplacedError, TreeBuilder
from catalog.adql.diagnostics import explain_token, fault_at, offset_of
from catalog.adql.lexer import tokenize
from catalog.errors import QueryError

__all__ = ["is_adql", "parse"]


class _TokenStream(Lexer):
    """Hands the tokens that `tokenize` found to lark."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, data: str) -> Iterator[Token]:  # type: ignore[override]  # lark's interface for custom lexers
        return iter(tokenize(data))


@cache
def _grammar() -> Lark:
    text = files("catalog.adql").joinpath("adql.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer=_TokenStream, transformer=TreeBuilder(), maybe_placeholders=True)


def parse(text: str) -> nodes.Query:
    """The tree of a query.

    Args:
        text: ADQL 2.1; one trailing semicolon, ``!=`` and comments are fine.

    Returns:
        An untyped tree; `catalog.adql.resolver.resolve` gives it meaning.

    Raises:
        QueryError: The text is not ADQL, or too long or deep to be read; says where and what was expected, and
            proposes a query when one edit makes it ADQL.
    """
    try:
        return _parse(text)
    except QueryError as fault:
        if fault.code in ("syntax", "join-condition"):
            advise(text, fault, offset_of(text, fault), is_adql)
        raise


def is_adql(text: str) -> bool:
    """Whether a text is a query by the grammar; whether its tables and columns exist is not asked."""
    try:
        _parse(text)
    except QueryError:
        return False
    return True


def _parse(text: str) -> nodes.Query:
    try:
        tree = _grammar().parse(text)
    except UnexpectedToken as error:
        raise _explain(text, error) from None
    except MisplacedError as error:
        raise fault_at(text, error.span, error.message, code=error.code) from None
    assert isinstance(tree, nodes.Query)  # noqa: S101  (the builder's answer to the start rule)
    return replace(tree, text=text)


def _explain(text: str, error: UnexpectedToken) -> QueryError:
    token = error.token
    if token.type == "$END":
        end = len(text.rstrip())
        span = nodes.Span(end, end + 1)
    else:
        span = nodes.Span(token.start_pos or 0, token.end_pos or 0)
    return explain_token(text, str(token), span, token.type, error.accepts or error.expected)
