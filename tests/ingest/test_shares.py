"""A large manifest in shares ends as it would have in one piece."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from catalog import Catalog, open_catalog
from catalog.errors import CatalogError, InternalError, UnavailableError
from catalog.ingest import paths
from catalog.ingest.manifest import count_lines, read_manifest
from catalog.ingest.report import IngestSummary
from catalog.ingest.shares import Lines, Share, ShareBlock, run_shares
from catalog.opsdb.models import RawDataPackage
from catalog.wiring.catalog import _load_share

from .test_blocks import Content, before, mixed, package, state, write


@given(st.integers(1, 50), st.integers(1, 5), st.integers(1, 9))
def test_every_line_from_the_first_on_is_in_one_share(begin: int, count: int, part: int) -> None:
    shares = [Share(Path("m"), begin, number, count, part) for number in range(count)]
    for line in range(1, 120):
        assert sum(share.takes(line) for share in shares) == (line >= begin)


@given(st.sets(st.integers(0, 10_000)))
def test_lines_are_a_set(numbers: set[int]) -> None:
    lines = Lines()
    for number in numbers:
        lines.add(number)
    assert {number for number in range(10_100) if number in lines} == numbers


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_lines_that_are_not_wanted_are_passed_over(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"m.{form}"
    records = [{"instrument": "CHAI", "module": "LFA", "sequence": number} for number in range(1200)]
    if form == "jsonl":
        write(path, [*records[:700], "{broken", *records[700:]])
    elif form == "csv":
        rows = [f"CHAI,LFA,{number}" for number in range(1200)]
        path.write_text("\n".join(["instrument,module,sequence", *rows[:700], "one cell", *rows[700:]]) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
    everything = {entry.line: entry for entry in read_manifest(path)}
    assert len(everything) >= 1200
    assert count_lines(path) >= len(everything)
    for wanted in (lambda line: line % 7 == 3, lambda line: 490 < line < 1010, lambda line: False):
        some = list(read_manifest(path, wanted=wanted))
        assert [entry.line for entry in some] == [line for line in everything if wanted(line)]
        assert all(entry == everything[entry.line] for entry in some)


# --- processes -----------------------------------------------------------------------------------------------


def end_suddenly(share: Share, tell: Callable[[ShareBlock], None]) -> None:
    tell(ShareBlock(1, 0, ()))
    if share.number:
        os.kill(os.getpid(), signal.SIGKILL)


def find_no_database(share: Share, tell: Callable[[ShareBlock], None]) -> None:
    raise UnavailableError("the database does not answer", retry_after=3)


@pytest.mark.parametrize(("work", "fault"), [(end_suddenly, InternalError), (find_no_database, UnavailableError)])
def test_a_process_that_fails_ends_the_ingest(work: Any, fault: type[CatalogError]) -> None:
    shares = [Share(Path("m"), 1, number, 2) for number in range(2)]
    with pytest.raises(fault):
        list(run_shares(work, shares))


@pytest.fixture
def known(postgres_server: Any, installed_server: str, tmp_path: Path) -> Any:
    """Opens a new catalog on PostgreSQL that holds what the tests of blocks begin with."""
    opened = []

    def open_one() -> Catalog:
        catalog = open_catalog(postgres_server.create_database(installed_server))
        catalog.init()
        opened.append(catalog)
        assert catalog.ingest([write(tmp_path / "before.jsonl", before())], create_instruments=True).created == 4
        return catalog

    yield open_one
    for catalog in opened:
        catalog.close()


@pytest.mark.parametrize("create_instruments", [False, True])
def test_a_mixed_manifest_ends_alike_in_shares(
    known: Any, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create_instruments: bool
) -> None:
    monkeypatch.setattr(paths, "_GROWN", 50)
    monkeypatch.setattr(paths, "_WORTH", 100)
    lines = [package(number) for number in range(60, 160)]
    lines += mixed() + [package(number, "HFA") for number in range(60, 360)]
    path = write(tmp_path / "m.jsonl", lines)
    ends, summaries, shared = [], [], []
    run = run_shares

    def look(*arguments: Any) -> Any:
        for block in run(*arguments):
            shared.append(block)
            yield block

    monkeypatch.setattr(paths, "run_shares", look)
    for jobs in (1, 2):
        catalog = known()
        summaries.append(
            paths.ingest_paths(
                catalog.database,
                [path],
                create_instruments=create_instruments,
                session_factory=catalog.session,
                block_records=100,
                share=partial(_load_share, catalog.settings),
                jobs=jobs,
            )
        )
        ends.append(state(catalog.database, content))
        assert bool(shared) == (jobs == 2)
    assert sum(block.created for block in shared) > 300
    assert sum(len(block.left) for block in shared) > 20
    assert plain(summaries[0]) == plain(summaries[1])
    assert ends[0] == ends[1]


def plain(summary: IngestSummary) -> IngestSummary:
    """The summary with its remarks in an order that says nothing of processes."""
    key = lambda problem: (problem.line or 0, str(problem))  # noqa: E731
    ordered = tuple(sorted(summary.problems, key=key)), tuple(sorted(summary.notes, key=key))
    return replace(summary, problems=ordered[0], notes=ordered[1])


def test_what_a_fault_leaves_is_taken_up_again(known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_GROWN", 50)
    monkeypatch.setattr(paths, "_WORTH", 100)
    path = write(tmp_path / "m.jsonl", [package(number) for number in range(60, 350)])
    catalog = known()
    options = {"session_factory": catalog.session, "block_records": 100, "jobs": 2}
    with pytest.raises(InternalError, match="what it had committed stays"):
        paths.ingest_paths(catalog.database, [path], share=end_suddenly, **options)
    with catalog.database.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count(RawDataPackage.id))) == 4 + 100
    summary = paths.ingest_paths(catalog.database, [path], share=partial(_load_share, catalog.settings), **options)
    assert summary.created + summary.unchanged == 290
