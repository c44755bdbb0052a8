"""What a function of queries is: what it takes, what it gives, how the capabilities declare it, how SQL says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from catalog.adql.kinds import Kind
from catalog.adql.mathematics import SqlBuilder
from catalog.adql.nodes import Condition, Expression, FunctionCall
from catalog.errors import QueryError
from catalog.vo.table import Column

__all__ = [
    "ANY",
    "AREA",
    "INTEGER",
    "NUMBER",
    "POINT",
    "SHAPE",
    "TEXT",
    "TIMESTAMP",
    "Fault",
    "Form",
    "Function",
    "Result",
]

NUMBER = frozenset({Kind.INTEGER, Kind.FLOAT})
INTEGER = frozenset({Kind.INTEGER})
TEXT = frozenset({Kind.TEXT})
TIMESTAMP = frozenset({Kind.TIMESTAMP})
POINT = frozenset({Kind.POINT})
AREA = frozenset({Kind.CIRCLE, Kind.POLYGON})
SHAPE = POINT | AREA | {Kind.REGION}
ANY = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.TEXT, Kind.TIMESTAMP})

Result: TypeAlias = Callable[[Sequence[Column]], Column | None]
Fault: TypeAlias = Callable[..., QueryError]
"""Makes a fault that points at a node: ``fault(node, message, code=…, hint=…)``."""


class Form(NamedTuple):
    """One way to call a user-defined function, as the capabilities declare it (TAPRegExt 1.0 section 2.3)."""

    signature: str
    """``name(arg TYPE, …) -> TYPE``."""

    description: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function: what it takes, what it gives, how each engine says it."""

    name: str
    """In upper case; lower case marks one that queries cannot name, a part of others."""

    parameters: tuple[frozenset[Kind], ...]
    """Kinds that each argument may be of; NULL may stand anywhere."""

    result: Result
    """Description of the value, from those of the arguments; None when they do not go together."""

    sql: SqlBuilder | None = None
    """Called with the engine's name and the translated arguments; geometry is translated elsewhere."""

    required: int | None = None
    """How many arguments must be there; None means all."""

    variadic: bool = False
    """Whether the last parameter may repeat."""

    feature: str | None = None
    """Type of language feature to declare; None when every ADQL service has the function."""

    doubles: bool = True
    """Whether numbers are made doubles first, so that integers do not bring integer arithmetic."""

    copies: int = 1
    """How often the SQL repeats its arguments; nested calls multiply."""

    forms: tuple[Form, ...] = ()
    """What a user-defined function is declared as; others are declared by their name."""

    unify: Callable[[FunctionCall, Fault], FunctionCall] | None = None
    """Brings the ways of calling it to the one that ``parameters`` describes; before arguments are checked."""

    finish: Callable[[FunctionCall, Fault], Expression] | None = None
    """Checks the values of literals, or says the call by means of others; after arguments are checked."""

    condition: Callable[[FunctionCall], Condition] | None = None
    """What a function that yields 1 or 0 asks; `sql` is not needed then, and an index can answer."""

    aggregate: bool = False
    """Whether it makes one value of many rows; the first argument is what it works on."""

    raises: bool = False
    """Whether it can raise on a value; it is kept from rows that the caller may not see then."""

    def takes(self, count: int) -> bool:
        """Whether this many arguments are right."""
        low = len(self.parameters) if self.required is None else self.required
        return low <= count and (self.variadic or count <= len(self.parameters))

    def parameter(self, index: int) -> frozenset[Kind]:
        """Kinds allowed for an argument."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    @property
    def signature(self) -> str:
        """How to call it, for messages."""
        if self.forms:
            return " or ".join(form.signature for form in self.forms)
        names = [_spell(kinds) for kinds in self.parameters]
        low = len(names) if self.required is None else self.required
        optional = "".join(f"[, {name}]" for name in names[low:]) + (", …" if self.variadic else "")
        arguments = ", ".join(names[:low]) + optional
        return f"{self.name}({arguments if low else arguments.replace('[, ', '[', 1)})"


def _spell(kinds: frozenset[Kind]) -> str:
    if kinds == INTEGER:
        return "integer"
    if kinds == NUMBER:
        return "number"
    if kinds == ANY:
        return "value"
    return " or ".join(sorted(kind.value.removeprefix("a ") for kind in kinds))
