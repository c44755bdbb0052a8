"""The phrase-book of corpus/: what is ADQL and what is not, and why not, where."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from lark import Lark

from catalog.adql import lexer
from catalog.adql.parser import _TokenStream, parse
from catalog.adql.resolver import resolve
from catalog.adql.words import RESERVED_WORDS
from catalog.errors import QueryError
from catalog.vo.table import Table


def test_accepted_queries_are_many_and_different(accepted: list[str]) -> None:
    assert len(accepted) >= 400
    assert len(set(accepted)) == len(accepted)


def test_refused_queries_are_many_and_different(refused: list[Any], unresolved: list[Any]) -> None:
    texts = [phrase.text for phrase in refused + unresolved]
    assert len(texts) >= 250
    assert len(set(texts)) == len(texts)


def test_every_accepted_query_is_parsed(accepted: list[str]) -> None:
    refused = {}
    for text in accepted:
        try:
            assert parse(text).text == text
        except QueryError as fault:
            refused[text] = f"{fault.line}:{fault.column} {fault.message}"
    assert refused == {}


def test_every_refused_query_is_refused_for_its_reason_at_its_place(refused: list[Any]) -> None:
    for phrase in refused:
        with pytest.raises(QueryError) as caught:
            parse(phrase.text)
        fault = caught.value
        assert (fault.code, fault.line, fault.column) == phrase[1:], phrase.text
        assert len(fault.message) > 10


def test_every_unresolved_query_is_parsed_and_then_refused_for_its_reason_at_its_place(
    unresolved: list[Any], tables: dict[str, Table]
) -> None:
    for phrase in unresolved:
        tree = parse(phrase.text)
        with pytest.raises(QueryError) as caught:
            resolve(tree, tables)
        fault = caught.value
        assert (fault.code, fault.line, fault.column) == phrase[1:], phrase.text


def test_together_the_accepted_queries_use_every_alternative_of_the_grammar(accepted: list[str]) -> None:
    """An alternative is counted with each choice of its optional parts, as lark expands them."""
    text = files("catalog.adql").joinpath("adql.lark").read_text(encoding="utf-8")
    grammar = Lark(text, parser="lalr", lexer=_TokenStream, maybe_placeholders=True)
    callbacks: dict[Any, Any] = grammar.parser.parser_conf.callbacks  # type: ignore[attr-defined]
    unused = set(callbacks)
    for rule, build in callbacks.items():
        callbacks[rule] = lambda children, rule=rule, build=build: (unused.discard(rule), build(children))[1]
    assert len(unused) > 150
    for query in accepted:
        grammar.parse(query)
    assert {f"{rule.origin.name}: {' '.join(part.name for part in rule.expansion)}" for rule in unused} == set()


def test_together_the_accepted_queries_use_every_terminal_and_every_word_of_the_grammar(accepted: list[str]) -> None:
    tokens = [token for query in accepted for token in lexer.tokenize(query)]
    text = files("catalog.adql").joinpath("adql.lark").read_text(encoding="utf-8")
    declared = {word for line in text.splitlines() if line.startswith("%declare") for word in line.split()[1:]}
    assert declared - {token.type for token in tokens} == {"RESERVED"}
    words = {word for word, kind in lexer._WORDS.items() if kind != "RESERVED"}
    assert words - {str(token).upper() for token in tokens} == set()


def test_no_reserved_word_names_a_column_or_table_unless_quoted() -> None:
    for word in RESERVED_WORDS:
        queries = [f"SELECT a AS {word} FROM t", f"SELECT a FROM t AS {word}", f"SELECT t.{word} FROM t"]
        queries += [] if word == "NULL" else [f"SELECT {word} FROM t"]
        for query in queries:
            with pytest.raises(QueryError):
                parse(query)
        parse(f'SELECT "{word}", t."{word}" AS "{word}" FROM "{word}" AS "{word}"')
