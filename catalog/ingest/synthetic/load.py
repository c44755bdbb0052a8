"""Write the synthetic observatory into a database; killed midway, the next call goes on where this one was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import UsageError
from catalog.ingest.synthetic.columns import ColumnBatch, stored_form
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
    people: bool
    packages_done: int = 0
    transfers_done: int = 0

    def same_as(self, other: _Mark) -> bool:
        """Whether both mean the same rows in the end."""
        return replace(self, people=True, packages_done=0, transfers_done=0) == replace(
            other, people=True, packages_done=0, transfers_done=0
        )


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
    wanted = _Mark(_VERSION, packages, seed, files_per_package, people=True)
    observatory = SyntheticObservatory(packages, seed, files_per_package)
    mark = _begin(database, observatory, wanted)
    loaded = mark.transfers_done < observatory.transfers
    if not mark.people:
        observatory = SyntheticObservatory(packages, seed, files_per_package, people=False)
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
    if loaded:
        _finish(database)
    return _summary(database, mark, loaded=loaded)


def _begin(database: Database, observatory: SyntheticObservatory, wanted: _Mark) -> _Mark:
    """The mark of the database; the fixed rows are written if there is none."""
    with database.begin() as connection, queue_suspended(connection):
        known = _read_mark(connection)
        if known is not None:
            if not known.same_as(wanted):
                raise UsageError(
                    f"the database already holds another synthetic observatory ({known.packages} packages, seed "
                    f"{known.seed}, {known.files_per_package} files per package); expected an empty database"
                )
            return known
        mark = replace(wanted, people=_require_empty(connection))
        kept = observatory if mark.people else _without_people(wanted)
        connection.execute(sa.insert(_SETTINGS).values(key=SETTING, value=json.dumps(asdict(mark))))
        _write(database, connection, kept.fixed())
        return mark


def _without_people(wanted: _Mark) -> SyntheticObservatory:
    return SyntheticObservatory(wanted.packages, wanted.seed, wanted.files_per_package, people=False)


def _require_empty(connection: sa.Connection) -> bool:
    """Refuse a database with rows of its own; users and roles may be there, and then none are added (False)."""
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


def _read_mark(connection: sa.Connection) -> _Mark | None:
    text = connection.scalar(sa.select(_SETTINGS.c.value).where(_SETTINGS.c.key == SETTING).with_for_update())
    return None if text is None else _Mark(**json.loads(text))


def _step(database: Database, batches: Iterable[ColumnBatch], mark: _Mark, following: _Mark) -> _Mark:
    """One transaction: the rows, and the mark that they are there."""
    with database.begin() as connection, queue_suspended(connection):
        if _read_mark(connection) != mark:
            raise UsageError("another process is loading the synthetic observatory into this database; let it finish")
        _write(database, connection, batches)
        moved = sa.update(_SETTINGS).where(_SETTINGS.c.key == SETTING).values(value=json.dumps(asdict(following)))
        connection.execute(moved)
    return following


def _write(database: Database, connection: sa.Connection, batches: Iterable[ColumnBatch]) -> None:
    for batch in batches:
        if len(batch):
            database.bulk_insert(connection, stored_form(batch.table), list(batch.columns), batch.rows())


def _finish(database: Database) -> None:
    """Let new rows get numbers after ours, and let the planner know what is there."""
    with database.begin() as connection:
        if database.dialect == "sqlite":
            connection.exec_driver_sql(f"PRAGMA analysis_limit = {_SAMPLE}")
            connection.exec_driver_sql("ANALYZE")
            return
        for table in OpsBase.metadata.sorted_tables:
            name = connection.dialect.identifier_preparer.format_table(table)
            if "id" in table.columns and isinstance(table.columns["id"].type, sa.Integer):
                last = sa.select(sa.func.max(table.c.id)).scalar_subquery()
                connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(name, "id"), last)))
            connection.exec_driver_sql(f"ANALYZE {name}")


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
