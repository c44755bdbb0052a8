"""The tree of an ADQL query.

The parser makes it untyped; the resolver returns the same kinds of nodes with `meta` (what a value is), `source`
(where a column comes from) and `columns` (what a query yields) filled in, stars expanded, USING turned into
conditions. Positions and types do not take part in comparison, so equal expressions are equal wherever they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from catalog.vo.table import Column, Table

__all__ = [
    "Aggregate", "And", "Arithmetic", "Between", "Cast", "CastTarget", "ColumnRef", "Comparison",
    "Concatenation", "Condition", "DerivedTable", "Exists", "Expression", "FromItem", "FunctionCall",
    "InList", "InQuery", "IsNull", "Join", "Like", "Name", "Not", "Null", "Number", "Or", "OrderTerm",
    "Query", "QueryBody", "QueryExpression", "Select", "SelectItem", "SetOperation", "Signed", "Span",
    "Star", "String", "TableRef", "WithItem", "children",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the text: offsets in characters, end exclusive."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """From the start of this to the end of the other."""
        return Span(self.start, max(self.end, other.end))


NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier."""

    text: str
    """Without quotes, `""` undone."""

    delimited: bool = False
    """Written in double quotes, so its case counts (section 2.1.3)."""

    span: Span = field(default=NOWHERE, compare=False)

    def matches(self, declared: str) -> bool:
        """Whether the identifier means the declared name."""
        if self.delimited:
            return self.text == declared
        return self.text.lower() == declared.lower()

    def __str__(self) -> str:
        return '"' + self.text.replace('"', '""') + '"' if self.delimited else self.text


# --- values --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    span: Span = field(default=NOWHERE, compare=False)
    meta: Column | None = field(default=None, compare=False)
    """What the value is; its `name` is the name it would have in the output. Set by the resolver."""

    @property
    def type(self) -> Column:
        """`meta`, known to be there: only on resolved trees."""
        assert self.meta is not None, "an unresolved tree has no types"  # noqa: S101
        return self.meta


@dataclass(frozen=True, slots=True)
class Number(_Value):
    """An unsigned or, after folding, signed number; 1 and 1.0 are not equal, since they divide differently."""

    value: int | float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and (type(self.value), self.value) == (type(other.value), other.value)


@dataclass(frozen=True, slots=True)
class String(_Value):
    """A character string, `''` undone."""

    value: str


@dataclass(frozen=True, slots=True)
class Null(_Value):
    """The word NULL."""


@dataclass(frozen=True, slots=True)
class ColumnRef(_Value):
    """A column; after resolution `name` is as declared, `qualifier` empty and `source` set."""

    name: Name
    qualifier: tuple[Name, ...] = ()
    source: int | None = None
    """Number of the table reference, subquery or CTE reference in the resolved query."""

    position: int = field(default=0)
    """Index of the column in its source."""

    level: int = field(default=0, compare=False)
    """How many queries further out the source stands; 0 is the query itself."""


@dataclass(frozen=True, slots=True)
class Arithmetic(_Value):
    """``a + b - c`` or ``a * b / c``: as many operators as operands but one, all of one precedence."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Concatenation(_Value):
    """``a || b || c``."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Signed(_Value):
    """A minus before something that is not a plain number; a plus is dropped."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall(_Value):
    """Any function but an aggregate; the name is upper case."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregate(_Value):
    """AVG, MAX, MIN, SUM, COUNT, without argument COUNT(*); user-defined ones once resolved."""

    name: str
    argument: Expression | None = None
    distinct: bool = False
    parameters: tuple[Expression, ...] = ()
    """What a user-defined aggregate takes besides."""


@dataclass(frozen=True, slots=True)
class CastTarget:
    """A type as written in CAST: ``VARCHAR(10)``, ``DOUBLE PRECISION``."""

    name: str
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Cast(_Value):
    """``CAST(operand AS target)``."""

    operand: Expression
    target: CastTarget


Expression: TypeAlias = (
    Number | String | Null | ColumnRef | Arithmetic | Concatenation | Signed | FunctionCall | Aggregate | Cast
)


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside one."""
    if isinstance(expression, Arithmetic | Concatenation):
        return expression.operands
    if isinstance(expression, FunctionCall):
        return expression.arguments
    if isinstance(expression, Signed | Cast):
        return (expression.operand,)
    if isinstance(expression, Aggregate) and expression.argument is not None:
        return (expression.argument, *expression.parameters)
    return ()


# --- conditions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison(_Test):
    """``left operator right``; ``!=`` is kept as ``<>``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between(_Test):
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InList(_Test):
    """``operand [NOT] IN (…)``."""

    operand: Expression
    items: tuple[Expression, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InQuery(_Test):
    """``operand [NOT] IN (SELECT …)``."""

    operand: Expression
    query: QueryExpression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(_Test):
    """``operand [NOT] LIKE pattern``, or ILIKE."""

    operand: Expression
    pattern: Expression
    negated: bool = False
    insensitive: bool = False


@dataclass(frozen=True, slots=True)
class IsNull(_Test):
    """``operand IS [NOT] NULL``."""

    operand: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(_Test):
    """``EXISTS (SELECT …)``."""

    query: QueryExpression


@dataclass(frozen=True, slots=True)
class And(_Test):
    """All of two or more."""

    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or(_Test):
    """Any of two or more."""

    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not(_Test):
    """The opposite."""

    term: Condition


Condition: TypeAlias = Comparison | Between | InList | InQuery | Like | IsNull | Exists | And | Or | Not


# --- tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table by name; after resolution `source` is set and either `table` or `cte`."""

    name: tuple[Name, ...]
    alias: Name | None = None
    span: Span = field(default=NOWHERE, compare=False)
    source: int | None = None
    table: Table | None = field(default=None, compare=False)
    cte: int | None = None
    """Index of the WITH item that the name means."""


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """A subquery in FROM."""

    query: QueryExpression
    alias: Name
    span: Span = field(default=NOWHERE, compare=False)
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Two tables joined; after resolution `on` says the whole condition, None meaning each with each."""

    kind: str
    """``INNER``, ``LEFT``, ``RIGHT``, ``FULL``; ``COMMA`` between the entries of a FROM list."""

    left: FromItem
    right: FromItem
    on: Condition | None = None
    using: tuple[Name, ...] = ()
    natural: bool = False
    span: Span = field(default=NOWHERE, compare=False)


FromItem: TypeAlias = TableRef | DerivedTable | Join


# --- queries -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SelectItem:
    """An expression to put out."""

    expression: Expression
    alias: Name | None = None


@dataclass(frozen=True, slots=True)
class Star:
    """``*`` or ``t.*``; gone after resolution."""

    qualifier: tuple[Name, ...] = ()
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Select:
    """``SELECT … FROM …``."""

    items: tuple[SelectItem | Star, ...]
    tables: FromItem
    where: Condition | None = None
    group_by: tuple[Expression, ...] = ()
    having: Condition | None = None
    distinct: bool = False
    top: int | None = None
    span: Span = field(default=NOWHERE, compare=False)
    columns: tuple[Column, ...] = field(default=(), compare=False)
    """What each row of the result holds. Set by the resolver."""


@dataclass(frozen=True, slots=True)
class SetOperation:
    """``left UNION right`` and its kin."""

    operator: str
    """``UNION``, ``EXCEPT``, ``INTERSECT``."""

    all: bool
    operands: tuple[QueryBody, ...]
    """Two or more, combined from the left."""

    span: Span = field(default=NOWHERE, compare=False)
    columns: tuple[Column, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One key of ORDER BY; after resolution `position` is the index of an output column or None."""

    expression: Expression
    descending: bool = False
    position: int | None = None


@dataclass(frozen=True, slots=True)
class QueryExpression:
    """A query body with its order and offset."""

    body: QueryBody
    order_by: tuple[OrderTerm, ...] = ()
    offset: int | None = None
    span: Span = field(default=NOWHERE, compare=False)
    source: int | None = None
    """What sort keys of a set operation refer to: the operation's result as a table."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each row of the result holds, once resolved."""
        return self.body.columns


QueryBody: TypeAlias = Select | SetOperation | QueryExpression


@dataclass(frozen=True, slots=True)
class WithItem:
    """A named subquery (common table expression, section 4.5)."""

    name: Name
    query: QueryExpression


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query."""

    body: QueryExpression
    ctes: tuple[WithItem, ...] = ()
    text: str = field(default="", compare=False)
    """As it was asked; positions count in it."""
