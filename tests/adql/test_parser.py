"""The tree that a text becomes: what binds how, what is folded, what is kept."""

from __future__ import annotations

import pytest

from catalog.adql import nodes
from catalog.adql.parser import parse
from catalog.errors import CatalogError, QueryError, UsageFault


def where(condition: str) -> nodes.Condition | None:
    body = parse(f"SELECT a FROM t WHERE {condition}").body.body
    assert isinstance(body, nodes.Select)
    return body.where


def value(expression: str) -> nodes.Expression:
    body = parse(f"SELECT {expression} FROM t").body.body
    assert isinstance(body, nodes.Select)
    (item,) = body.items
    assert isinstance(item, nodes.SelectItem)
    return item.expression


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a = 1 OR b = 2 AND c = 3", "a = 1 OR (b = 2 AND c = 3)"),
        ("a = 1 AND b = 2 OR c = 3", "(a = 1 AND b = 2) OR c = 3"),
        ("NOT a = 1 AND b = 2", "(NOT a = 1) AND b = 2"),
        ("NOT a = 1 OR b = 2", "(NOT (a = 1)) OR (b = 2)"),
        ("a BETWEEN 1 AND 2 AND b = 3", "(a BETWEEN 1 AND 2) AND b = 3"),
        ("a != 1", "a <> 1"),
        ("a IN (1, 2)", "a IN ((1), (2))"),
        ("a IN ('x''y')", "a IN (('x''y'))"),
        ("a + 1 > b * 2", "(a + 1) > (b * 2)"),
        ("a LIKE b || c", "a LIKE (b || c)"),
    ],
)
def test_conditions_bind_as_in_sql(text: str, same: str) -> None:
    assert where(text) == where(same)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a + b * c", "a + (b * c)"),
        ("-a * b", "(-a) * b"),
        ("- 1", "-1"),
        ("-(1)", "-1"),
        ("+a", "a"),
        ("a - -1", "a - (-1)"),
        ("((a))", "a"),
        ("1.", "1.0"),
        (".5", "0.5"),
        ("1e3", "1000.0"),
        ("007", "7"),
    ],
)
def test_values_bind_as_in_sql(text: str, same: str) -> None:
    assert value(text) == value(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("a - (b - c)", "a - b - c"),
        ("a / (b / c)", "a / b / c"),
        ("(a + b) * c", "a + b * c"),
        ("-(a + b)", "-a + b"),
        ("1", "1.0"),
        ("'1'", "1"),
        ('"a"', "'a'"),
        ('"A"', "A"),
    ],
)
def test_values_that_differ_are_told_apart(text: str, other: str) -> None:
    assert value(text) != value(other)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775807", -9223372036854775807),
        ("9223372036854775808", 9223372036854775808.0),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("0.1", 0.1),
        ("1E-400", 0.0),
    ],
)
def test_whole_numbers_are_integers_while_they_fit_64_bits(text: str, number: float) -> None:
    found = value(text)
    assert isinstance(found, nodes.Number)
    assert (found.value, type(found.value)) == (number, type(number))


def test_a_number_beyond_every_double_is_refused() -> None:
    for text in ("1e400", "9" * 400, ".1e310 * a"):
        with pytest.raises(QueryError, match="too large") as caught:
            value(text)
        assert (caught.value.code, caught.value.column) == ("value", 8)
    with pytest.raises(QueryError, match="too large"):
        where("a IN (1, 1e999)")


def test_set_operations_combine_from_the_left_and_intersect_binds_stronger() -> None:
    plain = parse("SELECT a FROM t UNION SELECT b FROM u EXCEPT SELECT c FROM v INTERSECT SELECT d FROM w")
    grouped = parse("(SELECT a FROM t UNION SELECT b FROM u) EXCEPT (SELECT c FROM v INTERSECT SELECT d FROM w)")
    operation = plain.body.body
    assert isinstance(operation, nodes.SetOperation)
    assert operation.operator == "EXCEPT"
    left, right = operation.operands
    assert isinstance(left, nodes.SetOperation)
    assert isinstance(right, nodes.SetOperation)
    assert (left.operator, right.operator) == ("UNION", "INTERSECT")
    inner = grouped.body.body
    assert isinstance(inner, nodes.SetOperation)
    assert [getattr(operand, "body", operand) for operand in inner.operands] == [left, right]


def test_joins_nest_as_written() -> None:
    left = parse("SELECT a FROM t JOIN u USING (a) JOIN v USING (b)")
    assert left == parse("SELECT a FROM (t JOIN u USING (a)) JOIN v USING (b)")
    assert left != parse("SELECT a FROM t JOIN (u JOIN v USING (b)) USING (a)")
    assert parse("SELECT a FROM t JOIN u JOIN v ON x = y ON z = w") == parse(
        "SELECT a FROM t JOIN (u JOIN v ON x = y) ON z = w"
    )


def test_a_named_join_is_a_subquery_of_all_its_columns() -> None:
    named = parse("SELECT a FROM (t JOIN u USING (a)) AS x")
    assert named == parse("SELECT a FROM (SELECT * FROM t JOIN u USING (a)) AS x")


def test_names_keep_their_spelling_and_quotes() -> None:
    body = parse('SELECT S.T.Ab, "c""D" FROM "S".T').body.body
    assert isinstance(body, nodes.Select)
    first, second = (item.expression for item in body.items if isinstance(item, nodes.SelectItem))
    assert isinstance(first, nodes.ColumnRef)
    assert isinstance(second, nodes.ColumnRef)
    assert [str(name) for name in (*first.qualifier, first.name)] == ["S", "T", "Ab"]
    assert (second.name.text, second.name.delimited, str(second.name)) == ('c"D', True, '"c""D"')
    assert isinstance(body.tables, nodes.TableRef)
    assert [name.delimited for name in body.tables.name] == [True, False]


def test_positions_count_in_the_text() -> None:
    text = "SELECT a,\n  b + 'c'\nFROM t"
    body = parse(text).body.body
    assert isinstance(body, nodes.Select)
    spans = [item.expression.span for item in body.items if isinstance(item, nodes.SelectItem)]
    assert [text[span.start : span.end] for span in spans] == ["a", "b + 'c'"]


def test_a_refused_text_raises_the_fault_that_tools_catch() -> None:
    with pytest.raises(UsageFault) as caught:
        parse("SELECT a\nFROM t\nWHERE a ==\n 1")
    assert isinstance(caught.value, CatalogError)
    assert (caught.value.code, caught.value.line, caught.value.column) == ("syntax", 3, 9)


@pytest.mark.parametrize("text", ["", " ", "\n\n", "-- nothing", ";"])
def test_a_text_without_a_query_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)
