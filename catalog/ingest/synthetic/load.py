"""Write the synthetic observatory into a database; killed midway, the next call goes on where this one was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.bulk import stored_form
from catalog.errors import UsageError
from catalog.ingest.synthetic.columns import ColumnBatch
from catalog.ingest.synthetic.observatory import SyntheticObservatory
from catalog.opsdb.models import OpsBase, OurBase
from catalog.opsdb.triggers import queue_suspended

__all__ = ["SETTING", "Progress", "SyntheticSummary", "load_synthetic"]

Progress = Callable[[int, int | None], None]
"""Called with how many packages are done and how many there are."""

SETTING = "synthetic_observatory"
"""Key of the publication setting that says that a catalog is synthetic, which one it is, and how far it got."""

_VERSION = 1
"""Changes when the same numbers would make other rows."""

_PEOPLE = {"api_token", "permission", "program_membership", "role", "role_permission", "user", "user_role"}
_SETTINGS = OurBase.metadata.tables["catalog.publication_setting"]
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class SyntheticSummary:
    """What the database holds after a load."""

    packages: int
    files: int
    package_copies: int
    executed_units: int
    transfer_packages: int
    seed: int
    loaded: bool
    """False when everything was there already."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Which observatory the database holds, and how much of it."""

    version: int
    packages: int
    seed: int
    files_per_package: int
    people: bool = True
    """False where users or roles were there before: none were added."""

    fixed_done: bool = False
    packages_done: int = 0
    transfers_done: int = 0
    finished: bool = False

    def same_as(self, other: _Mark) -> bool:
        """Whether both mean the same rows in the end."""
        names = ("version", "packages", "seed", "files_per_package")
        return all(getattr(self, name) == getattr(other, name) for name in names)


def load_synthetic(
    database: Database,
    *,
    packages: int = 2000,
    seed: int = 1,
    files_per_package: int = 3,
    progress: Progress | None = None,
) -> SyntheticSummary:
    """Fill a database that holds no packages with a synthetic observatory. Safe to repeat.

    Rows are written in some transactions of `SyntheticObservatory.batch_packages`; a repeated call with the same
    numbers writes what is missing. Nothing is queued for resolution: the caller resolves everything afterwards.

    Args:
        database: At the newest revision of the schema.
        packages: How many packages, 1 to 10,000,000.
        seed: The same numbers make the same catalog, on both engines.
        files_per_package: How many files each package holds, 0 to 1,000.
        progress: Called after each batch.

    Raises:
        UsageError: A number is out of range, or the database holds something else; nothing has been changed.
    """
    wanted = _Mark(_VERSION, packages, seed, files_per_package)
    observatory = SyntheticObservatory(packages, seed, files_per_package)
    mark = _claim(database, wanted)
    if not mark.people:
        observatory = SyntheticObservatory(packages, seed, files_per_package, people=False)
    complete = mark.finished
    if not mark.fixed_done:
        mark = _step(database, observatory.fixed(), mark, replace(mark, fixed_done=True))
    while mark.packages_done < packages:
        done = min(mark.packages_done + observatory.batch_packages, packages)
        following = replace(mark, packages_done=done)
        mark = _step(database, observatory.stretch(mark.packages_done, done), mark, following)
        if progress is not None:
            progress(mark.packages_done, packages)
    while mark.transfers_done < observatory.transfers:
        done = min(mark.transfers_done + observatory.batch_transfers, observatory.transfers)
        following = replace(mark, transfers_done=done)
        mark = _step(database, observatory.moves(mark.transfers_done, done), mark, following)
    if not complete:
        mark = _finish(database, mark)
    return _summary(database, mark, loaded=not complete)


def _claim(database: Database, wanted: _Mark) -> _Mark:
    """The mark of the database; it is set if the database is empty."""
    with database.begin() as connection:
        known = _read_mark(connection)
        if known is None:
            mark = replace(wanted, people=_require_empty(connection))
            connection.execute(sa.insert(_SETTINGS).values(key=SETTING, value=json.dumps(asdict(mark))))
            return mark
    if not known.same_as(wanted):
        raise UsageError(
            f"the database already holds another synthetic observatory ({known.packages} packages, seed "
            f"{known.seed}, {known.files_per_package} files per package); expected an empty database"
        )
    return known


def _require_empty(connection: sa.Connection) -> bool:
    """Refuse a database with rows of its own; False if it has users or roles, which may be there."""
    people = True
    for table in OpsBase.metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is None:
            continue
        if table.name not in _PEOPLE:
            raise UsageError(
                f"the database already holds rows in {table.name}; the synthetic observatory needs an empty database",
                hint="Choose another with --db or CATALOG_DATABASE_URL.",
            )
        people = False
    return people


def _step(database: Database, batches: Iterable[ColumnBatch], mark: _Mark, following: _Mark) -> _Mark:
    """One transaction: the rows, and the mark that they are there."""
    with database.begin() as connection, queue_suspended(connection):
        if _read_mark(connection) != mark:
            raise UsageError("another process is loading the synthetic observatory into this database; let it finish")
        for batch in batches:
            if len(batch):
                database.bulk_insert(connection, stored_form(batch.table), list(batch.columns), batch.rows())
        _move_mark(connection, following)
    return following


def _finish(database: Database, mark: _Mark) -> _Mark:
    """Let new rows get numbers after ours, and let the planner know what is there."""
    finished = replace(mark, finished=True)
    with database.begin() as connection:
        if database.dialect == "sqlite":
            connection.exec_driver_sql(f"PRAGMA analysis_limit = {_SAMPLE}")
            connection.exec_driver_sql("ANALYZE")
        else:
            for table in OpsBase.metadata.sorted_tables:
                _finish_table(connection, table)
        _move_mark(connection, finished)
    return finished


def _finish_table(connection: sa.Connection, table: sa.Table) -> None:
    name = connection.dialect.identifier_preparer.format_table(table)
    if "id" in table.columns and isinstance(table.columns["id"].type, sa.Integer):
        last = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(name, "id"), last)))
    connection.exec_driver_sql(f"ANALYZE {name}")


def _read_mark(connection: sa.Connection) -> _Mark | None:
    text = connection.scalar(sa.select(_SETTINGS.c.value).where(_SETTINGS.c.key == SETTING).with_for_update())
    return None if text is None else _Mark(**json.loads(text))


def _move_mark(connection: sa.Connection, mark: _Mark) -> None:
    text = json.dumps(asdict(mark))
    connection.execute(sa.update(_SETTINGS).where(_SETTINGS.c.key == SETTING).values(value=text))


def _summary(database: Database, mark: _Mark, *, loaded: bool) -> SyntheticSummary:
    tables = OpsBase.metadata.tables
    copies = tables["ops.physical_copy"]
    with database.engine.connect() as connection:

        def count(name: str) -> int:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables[f"ops.{name}"])) or 0

        of_packages = sa.select(sa.func.count(copies.c.raw_data_package_id))
        return SyntheticSummary(
            packages=count("raw_data_package"),
            files=count("raw_data_file"),
            package_copies=connection.scalar(of_packages) or 0,
            executed_units=count("executed_obs_unit"),
            transfer_packages=count("data_transfer_package"),
            seed=mark.seed,
            loaded=loaded,
        )
