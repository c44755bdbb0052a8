"""Write the parts of the reference pages that repeat what the code says; everything else on them is written by hand.

A page holds such a part between two comments, ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``. Run this after a
change of the commands, the published tables, the public names or the faults: ``python docs/generate.py``. A test
compares.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import typer

from catalog.access import ANONYMOUS
from catalog.adql.functions import FUNCTIONS
from catalog.cli import app
from catalog.errors import CatalogError
from catalog.ingest.report import IngestSummary, Problem
from catalog.ingest.synthetic.load import SyntheticSummary
from catalog.obscore.export import Manifest
from catalog.obscore.mapping import render_mapping
from catalog.obscore.record import ObsCoreRecord
from catalog.obscore.resolve import ResolveSummary
from catalog.vo.table import Column, Table, TableStream
from catalog.vo.tableset import load_tableset
from catalog.web.responses import fault_status
from catalog.wiring import Catalog, InitSummary, open_catalog

__all__ = ["PAGES", "main", "render_page"]

REFERENCE = Path(__file__).parent / "reference"
MAPPING = REFERENCE / "obscore-mapping.md"
_RESULTS = (
    *(InitSummary, IngestSummary, Problem, SyntheticSummary, ResolveSummary),
    *(TableStream, Table, Column, ObsCoreRecord, Manifest),
)
_SECTIONS = ("Args", "Returns", "Raises")


# Commands


def render_commands() -> str:
    """Every command with its arguments and options, from the command itself."""
    return "\n".join(
        line for name, command in _commands(typer.main.get_command(app)) for line in _command(name, command)
    )


def _commands(group: Any, path: str = "catalog") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join([name, *(_argument(param) for param in arguments), "[OPTIONS]"])
    yield from (f"### {name}", "", f"`{usage}`", "", _plain(command.help), "")
    yield from ("| argument or option | default | meaning |", "|---|---|---|")
    for param in command.params:
        called = _argument(param) if param in arguments else _option(param)
        yield f"| `{called}` | {_default(param)} | {_plain(param.help or '')} |"
    yield ""


def _argument(param: Any) -> str:
    word = param.name.upper() + ("…" if param.nargs == -1 else "")
    return word if param.required else f"[{word}]"


def _option(param: Any) -> str:
    names = ", ".join(param.opts)
    if param.is_flag:
        return " / ".join([names, *param.secondary_opts])
    return f"{names} {param.name.upper().replace('_', '-')}"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if getattr(param, "is_flag", False):
        return f"`{param.opts[0] if param.default else param.secondary_opts[0]}`" if param.secondary_opts else "off"
    return "none" if param.default is None or param.default == [] else f"`{param.default}`"


# Published tables


def render_tables() -> str:
    """Every published table with its columns, from vo_resources/tables."""
    return "\n".join(line for schema in load_tableset() for table in schema.tables for line in _table(table))


def _table(table: Table) -> Iterator[str]:
    yield from (f"## {table.name}", "", table.description or "", "")
    for key in table.foreign_keys:
        pairs = " and ".join(f"`{here}`" if here == there else f"`{here}` = `{there}`" for here, there in key.columns)
        yield f"* joins with `{key.target_table}` on {pairs}: {key.description}"
    if table.foreign_keys:
        yield ""
    yield from ("| column | type | unit | UCD | meaning |", "|---|---|---|---|---|")
    for column in table.columns:
        kind = column.datatype.votable + (f"({column.arraysize})" if column.arraysize else "")
        kind += f", {column.xtype}" if column.xtype else ""
        mark = " †" if column.indexed else ""
        yield f"| `{column.name}`{mark} | {kind} | {column.unit or ''} | {column.ucd or ''} | {column.description} |"
    yield ""


# Python


def render_python() -> str:
    """The public names, from their docstrings."""
    lines = [*_function("open_catalog", open_catalog), "## Catalog", "", *_docstring(Catalog), ""]
    for name, member in vars(Catalog).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member):
            lines += _function(f"Catalog.{name}", member, level=3)
        else:
            lines += [f"### Catalog.{name}", "", *_docstring(member), ""]
    lines += ["## What they return", ""]
    for kind in _RESULTS:
        said = list(takewhile(lambda line: line != "**Args**", _docstring(kind)))
        lines += [f"### {kind.__name__}", "", *said, "", *_attributes(kind)]
    return "\n".join(lines)


def _function(name: str, function: Callable[..., Any], level: int = 2) -> list[str]:
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    shown = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature.replace(parameters=parameters)))
    shown = shown.replace(repr(ANONYMOUS), "ANONYMOUS")
    return ["#" * level + f" {name}", "", f"`{name}{shown}`", "", *_docstring(function), ""]


def _docstring(thing: Any) -> list[str]:
    """A docstring of Google's form as Markdown."""
    lines: list[str] = []
    for line in _plain(inspect.getdoc(thing) or "").splitlines():
        if line.rstrip(":") in _SECTIONS:
            lines.append(f"**{line.rstrip(':')}**")
            lines.append("")
        elif item := re.match(r"    (\w+): (.*)", line):
            lines.append(f"* `{item[1]}`: {item[2]}")
        else:
            lines.append(line if line.startswith("  ") and lines and lines[-1].startswith("* ") else line.strip())
    return lines


def _attributes(kind: type) -> list[str]:
    """Fields of a dataclass and public methods of any class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    lines: list[str] = []
    if not isinstance(body, ast.ClassDef):
        return lines
    following: list[ast.stmt | None] = [*body.body[1:], None]
    for statement, after in zip(body.body, following, strict=True):
        if is_dataclass(kind) and isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = after.value if isinstance(after, ast.Expr) else None
            meaning = f": {_plain(inspect.cleandoc(str(said.value)))}" if isinstance(said, ast.Constant) else ""
            lines.append(f"* `{statement.target.id}` ({ast.unparse(statement.annotation)}){meaning}".replace("\n", " "))
        elif isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_"):
            said_first = _plain((ast.get_docstring(statement) or "").split("\n\n")[0]).replace("\n", " ")
            is_method = not any(getattr(mark, "id", "") == "property" for mark in statement.decorator_list)
            lines.append(f"* `{statement.name}{'()' if is_method else ''}`: {said_first}")
    return [*lines, ""] if lines else []


# Functions


def render_functions() -> str:
    """Every function that a query may call, from the one list of them."""
    known = [function for function in FUNCTIONS.values() if function.name.isupper()]
    lines = ["### Of the language", ""]
    lines += [f"* `{function.signature}`" for function in known if not function.forms]
    lines += ["", "### Beyond the language", "", "| function | meaning |", "|---|---|"]
    forms = sorted((form for function in known for form in function.forms), key=lambda form: form.signature)
    lines += [f"| `{form.signature}` | {_plain(form.description)} |" for form in forms]
    return "\n".join([*lines, ""])


# Faults


def render_faults() -> str:
    """Every kind of fault with its code and HTTP status, from the tree of exceptions."""
    lines = ["| class | `ERROR_CODE` | HTTP status | meaning |", "|---|---|---|---|"]
    for kind in _faults(CatalogError):
        first = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `{kind.__name__}` | `{kind.code}` | {fault_status(kind)} | {_plain(first)} |")
    return "\n".join([*lines, ""])


def _faults(kind: type[CatalogError]) -> Iterator[type[CatalogError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "catalog.errors":
            yield child
            yield from _faults(child)


def _plain(text: str) -> str:
    """Literals of reStructuredText as those of Markdown; bars would end a cell."""
    return text.replace("``", "`").replace("|", "\\|")


# Pages


PARTS: dict[str, Callable[[], str]] = {
    "commands": render_commands,
    "tables": render_tables,
    "python": render_python,
    "functions": render_functions,
    "faults": render_faults,
}
PAGES = {
    "commands": REFERENCE / "command-line.md",
    "tables": REFERENCE / "published-tables.md",
    "python": REFERENCE / "python.md",
    "functions": REFERENCE / "adql.md",
    "faults": REFERENCE / "tap.md",
}
"""Which page holds which part."""


def render_page(name: str) -> str:
    """A page as it should be: its own text, with its part made anew."""
    text = PAGES[name].read_text(encoding="utf-8")
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n{PARTS[name]().rstrip()}\n\n{end}{tail}"


def main() -> None:
    """Write every page anew and say which ones have changed."""
    wanted = {PAGES[name]: render_page(name) for name in PAGES} | {MAPPING: render_mapping()}
    for page, text in wanted.items():
        if page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"{page.relative_to(REFERENCE.parent)} has changed")  # noqa: T201  (a command)


if __name__ == "__main__":
    main()
