"""The phrase-book, and what several files of these tests ask for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from catalog.vo.table import Table
from catalog.vo.tableset import load_tableset

CORPUS = Path(__file__).parent / "corpus"


class Phrase(NamedTuple):
    """A query of the phrase-book."""

    text: str
    code: str = ""
    """Code of the fault; empty for a query that is accepted."""

    line: int = 0
    column: int = 0


def phrases(folder: str) -> list[Phrase]:
    """The queries of a folder of the corpus; its README says how they are written."""
    found: list[Phrase] = []
    for path in sorted((CORPUS / folder).glob("*.adql")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):
                found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line}")
            elif line and not line.startswith("#"):
                found.append(phrase(line, refused=folder != "accepted"))
    return found


def phrase(line: str, *, refused: bool) -> Phrase:
    if not refused:
        return Phrase(line)
    fault, _, text = line.partition(" | ")
    code, _, place = fault.partition(" ")
    row, _, column = place.partition(":")
    return Phrase(text, code, int(row), int(column))


@pytest.fixture(scope="session")
def accepted() -> list[str]:
    """Queries that the parser takes."""
    return [found.text for found in phrases("accepted")]


@pytest.fixture(scope="session")
def refused() -> list[Phrase]:
    """Queries that the parser refuses."""
    return phrases("refused")


@pytest.fixture(scope="session")
def unresolved() -> list[Phrase]:
    """Queries that the parser takes and the resolver refuses."""
    return phrases("unresolved")


@pytest.fixture(scope="session")
def tables() -> dict[str, Table]:
    """The published tables, by name."""
    return {table.name: table for schema in load_tableset() for table in schema.tables}


@pytest.fixture(scope="session")
def advice() -> list[tuple[str, str, str]]:
    """Refused queries, a part of the hint they bring and the query that is proposed; empty for none."""
    text = (CORPUS / "advice.txt").read_text(encoding="utf-8").replace("@", "FROM ivoa.obscore")
    found = []
    for block in text.split("\n\n"):
        parts = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith("#"))
        if parts:
            found.append((parts["query"].replace("\\n", "\n"), parts.get("hint", ""), parts.get("proposal", "")))
    return found
