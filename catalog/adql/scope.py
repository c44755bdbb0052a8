"""Which tables and columns a place in a query can name (sections 2.1.3 and 2.2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from catalog.adql import nodes
from catalog.adql.diagnostics import fault_at, nearest, suggest
from catalog.adql.nodes import ColumnRef, Expression, Name, Span
from catalog.adql.words import spell
from catalog.errors import QueryError
from catalog.vo.table import Column

__all__ = ["Relation", "Scope", "VisibleColumn"]

_LINE = 200  # characters of names in a hint


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, subquery or CTE in FROM, under the name that the query gives it."""

    source: int
    label: str
    """For messages."""

    names: tuple[Name, ...]
    """The alias alone, or the parts of the table's published name."""

    columns: tuple[Column, ...]
    is_alias: bool = False

    def answers_to(self, qualifier: Sequence[Name]) -> bool:
        """Whether a qualifier means this relation: the alias, or the table's name with or without its schema."""
        if len(qualifier) > len(self.names):
            return False
        tail = self.names[len(self.names) - len(qualifier) :]
        return all(_same_name(asked, given) for asked, given in zip(qualifier, tail, strict=True))

    def reference(self, position: int, span: Span, level: int = 0) -> ColumnRef:
        """The resolved reference to a column."""
        column = self.columns[position]
        name = Name(column.name, delimited=True, span=span)
        return ColumnRef(name, (), self.source, position, level, span=span, meta=column)

    def find(self, name: Name) -> list[int]:
        """Positions of the columns that a name may mean; the exact spelling wins over others."""
        found = [index for index, column in enumerate(self.columns) if name.matches(column.name)]
        exact = [index for index in found if self.columns[index].name == name.text]
        return exact if len(exact) == 1 else found


def _same_name(asked: Name, given: Name) -> bool:
    if asked.delimited and given.delimited:
        return asked.text == given.text
    return asked.text.lower() == given.text.lower()


@dataclass(frozen=True, slots=True)
class VisibleColumn:
    """A column that can be named without a qualifier; what USING merged stands here once."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Scope:
    """What one FROM clause offers, and the queries around it.

    Args:
        text: The query, for messages.
    """

    text: str
    relations: tuple[Relation, ...] = ()
    columns: tuple[VisibleColumn, ...] = ()
    outer: Scope | None = field(default=None)

    def column(self, reference: ColumnRef, level: int = 0) -> Expression:
        """The column that a reference names, in this scope or one around it.

        Raises:
            QueryError: There is none (code ``unknown-column`` or ``unknown-table``), or several
                (``ambiguous-column``).
        """
        scope: Scope | None = self
        while scope is not None:
            find = scope._qualified if reference.qualifier else scope._plain
            found = find(reference, level)
            if found is not None:
                return found
            scope, level = scope.outer, level + 1
        raise self._unknown(reference)

    def _plain(self, reference: ColumnRef, level: int) -> Expression | None:
        found = [column for column in self.columns if reference.name.matches(column.name)]
        exact = [column for column in found if column.name == reference.name.text]
        found = exact if len(exact) == 1 else found
        if len(found) > 1:
            raise self._ambiguous(reference)
        return None if not found else _placed(found[0].expression, reference.span, level)

    def _qualified(self, reference: ColumnRef, level: int) -> Expression | None:
        relations = [relation for relation in self.relations if relation.answers_to(reference.qualifier)]
        if not relations:
            return None
        found = [(relation, position) for relation in relations for position in relation.find(reference.name)]
        if len(found) > 1:
            raise self._ambiguous(reference)
        if not found:
            label = relations[0].label
            names = [column.name for relation in relations for column in relation.columns]
            raise self.unknown_column(reference.name, f" in {label}", names)
        relation, position = found[0]
        return relation.reference(position, reference.span, level)

    def relation(self, qualifier: Sequence[Name]) -> list[Relation]:
        """The relations that the qualifier of ``t.*`` means.

        Raises:
            QueryError: There is none; code ``unknown-table``.
        """
        found = [relation for relation in self.relations if relation.answers_to(qualifier)]
        if not found:
            raise self._unknown_relation(qualifier)
        return found

    def unknown_column(self, name: Name, where: str, candidates: Iterable[str]) -> QueryError:
        """The fault for a column that is not there."""
        names = list(candidates)
        near = nearest(name.text, names)
        hint, replacement = suggest(near) or _listed(names), spell(near[0]) if near else None
        if name.delimited and not near:
            hint = "text stands in single quotes; double quotes are for names"
            replacement = "'" + name.text.replace("'", "''") + "'"
        message = f"there is no column {name}{where}"
        return fault_at(self.text, name.span, message, code="unknown-column", hint=hint, replacement=replacement)

    def _unknown(self, reference: ColumnRef) -> QueryError:
        if reference.qualifier:
            return self._unknown_relation(reference.qualifier)
        scopes = list(self._outwards())
        labels = [relation.label for scope in scopes for relation in scope.relations]
        where = f" in {' or '.join(labels)}" if 0 < len(labels) < 4 else ""
        return self.unknown_column(reference.name, where, [c.name for scope in scopes for c in scope.columns])

    def _outwards(self) -> Iterable[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def _unknown_relation(self, qualifier: Sequence[Name]) -> QueryError:
        asked = ".".join(map(str, qualifier))
        relations = [relation for scope in self._outwards() for relation in scope.relations]
        hidden = [relation for relation in relations if relation.is_alias and asked.lower() == relation.label.lower()]
        if hidden:
            hint, name = f"here it goes by its alias {hidden[0].names[0]}", str(hidden[0].names[0])
        else:
            spelled = [".".join(map(str, relation.names)) for relation in relations]
            near = nearest(asked, spelled)
            hint, name = suggest(near) or f"FROM names {', '.join(spelled)}", near[0] if near else ""
        span = qualifier[0].span.to(qualifier[-1].span)
        message = f"FROM has no table {asked}"
        return fault_at(self.text, span, message, code="unknown-table", hint=hint, replacement=name or None)

    def _ambiguous(self, reference: ColumnRef) -> QueryError:
        owners = [relation.label for relation in self.relations if relation.find(reference.name)]
        message = f"column {reference.name} is in more than one table: {', '.join(owners)}"
        hint = "write the table's name or alias before it, with a dot between"
        return fault_at(self.text, reference.span, message, code="ambiguous-column", hint=hint)


def _listed(names: Iterable[str]) -> str:
    """Which columns there are, or where that is told when they are too many for a line."""
    line = ", ".join(dict.fromkeys(names))
    return f"the columns are {line}" if len(line) <= _LINE else "TAP_SCHEMA.columns lists those of published tables"


def _placed(expression: Expression, span: Span, level: int) -> Expression:
    """The expression as used here: position for messages, distance to the query that owns it."""
    if isinstance(expression, nodes.FunctionCall):  # what a FULL JOIN merged
        arguments = tuple(_placed(argument, span, level) for argument in expression.arguments)
        return nodes.FunctionCall(expression.name, arguments, span=span, meta=expression.meta)
    assert isinstance(expression, ColumnRef)  # noqa: S101  (FROM offers columns and merged columns only)
    return ColumnRef(
        expression.name, (), expression.source, expression.position, level, span=span, meta=expression.meta
    )
