"""Tree → text → tree: for the phrase-book, and for sentences that are drawn from the grammar itself."""

from __future__ import annotations

from importlib.resources import files

from hypothesis import event, given, settings
from hypothesis import strategies as st
from lark import Lark

from catalog.adql.parser import _TokenStream, parse
from catalog.adql.render import render
from catalog.errors import QueryError

GRAMMAR = Lark(
    files("catalog.adql").joinpath("adql.lark").read_text(encoding="utf-8"),
    parser="lalr",
    lexer=_TokenStream,
    maybe_placeholders=True,
)
WORDS = {
    "AGGREGATE": ["AVG", "MAX", "MIN", "SUM"],
    "CHARACTER_TYPE": ["CHAR", "VARCHAR"],
    "COMPARISON": ["=", "<>", "!=", "<", ">", "<=", ">="],
    "DELIMITED": ['"a"', '"A b"', '"x""y"', '"é.☉"', '"--"', '"\n"'],
    "DECIMAL": ["1.5", ".5", "2.", "1e3", "1.E-3", "9999999999999999999999."],
    "FUNCTION": ["COALESCE"],
    "GEOMETRY_TYPE": ["POINT", "CIRCLE", "POLYGON"],
    "LITERALS": ["(1, 2)", "('a', 'it''s')", "(-1.5)", "(1, 'x', + 2)"],
    "MINUS": ["-"],
    "NAME": ["a", "b", "Ab_1", "t", "ivo_f", "limit"],
    "NULL_VALUE": ["NULL", "null"],
    "NUMBER_TYPE": ["SMALLINT", "INTEGER", "BIGINT", "REAL", "TIMESTAMP"],
    "PLUS": ["+"],
    "SLASH": ["/"],
    "STAR": ["*"],
    "STRING": ["'a'", "''", "'it''s'", "'-- no'", "'two\nlines'", "'星 \U0001d518'", "'\\'"],
    "UINT": ["0", "1", "42", "007"],
    "_COMMA": [","],
    "_CONCAT": ["||"],
    "_DOT": ["."],
    "_LPAR": ["("],
    "_RPAR": [")"],
    "_SEMICOLON": [";"],
}


BLANKS = [" ", " ", " ", "\n", " -- x\n"]
CONTEXT = {("FUNCTION", "_LPAR", "_RPAR"), ("GEOMETRY_TYPE", "_LPAR", "arguments", "_RPAR")}
"""Alternatives that the grammar has and calls.py narrows; the phrase-book shows them."""

RULES: dict[str, list[tuple[str, ...]]] = {}
for rule in GRAMMAR.rules:
    parts = tuple(symbol.name for symbol in rule.expansion)
    if parts not in CONTEXT:
        RULES.setdefault(rule.origin.name, []).append(parts)
RULES["path"] = [("name",), ("name",), ("name", "_DOT", "name"), ("name", "_DOT", "name", "_DOT", "name")]


def depths() -> dict[str, int]:
    """How deep the flattest tree of each rule is."""
    found: dict[str, int] = {}
    while len(found) < len(RULES):
        for name, alternatives in RULES.items():
            known = [depth for depth in (depth_of(parts, found) for parts in alternatives) if depth is not None]
            if known:
                found[name] = min(known) + 1
    return found


def depth_of(parts: tuple[str, ...], found: dict[str, int]) -> int | None:
    inner = [found.get(part) if part in RULES else 0 for part in parts]
    return None if None in inner else max((depth or 0 for depth in inner), default=0)


DEPTHS = depths()


def sentence(choices: list[int]) -> str:
    """A sentence of the grammar: each number chooses an alternative or a word; after them the flattest are taken."""
    left = iter(choices)
    words: list[str] = []
    pending = ["start"]
    while pending:
        name = pending.pop()
        choice = next(left, None)
        if name not in RULES:
            options = WORDS.get(name, [name.lstrip("_"), name.lstrip("_").lower()])
            words += [options[(choice or 0) % len(options)], BLANKS[(choice or 0) // 7 % len(BLANKS)]]
            continue
        alternatives = RULES[name]
        if choice is None:
            alternatives = [min(alternatives, key=lambda parts: depth_of(parts, DEPTHS) or 0)]
        pending += reversed(alternatives[(choice or 0) % len(alternatives)])
    return "".join(words)


BEYOND_THE_GRAMMAR = ("a table name has at most three parts", "parentheses are open", "a length lies between")


def test_the_phrase_book_renders_to_the_same_trees(accepted: list[str]) -> None:
    for query in accepted:
        tree = parse(query)
        text = render(tree)
        assert parse(text) == tree, text
        assert render(parse(text)) == text


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 10_000), min_size=20, max_size=400).map(sentence))
def test_every_sentence_of_the_grammar_is_parsed_and_renders_to_the_same_tree(query: str) -> None:
    """Refused are only names of too many parts, lengths out of range, and what is too deep."""
    refusal, tree = None, None
    try:
        tree = parse(query)
    except QueryError as fault:
        refusal = fault.message
    event("parsed" if refusal is None else "refused")
    if tree is None:
        assert any(reason in str(refusal) for reason in BEYOND_THE_GRAMMAR), refusal
    else:
        assert parse(render(tree)) == tree
