"""The database keeps created_at and updated_at, whoever writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.db import Database
from catalog.opsdb.models import FixedSource, ObservingProgram, OpsBase, OurBase, RawDataPackage, Site, Source

PAST = datetime(2001, 2, 3, tzinfo=UTC)
TIMED = sorted(
    (table for base in (OpsBase, OurBase) for table in base.metadata.sorted_tables if "updated_at" in table.c),
    key=lambda table: table.name,
)


def times(connection: sa.Connection, table: Any) -> tuple[datetime, datetime]:
    row = connection.execute(sa.select(table.c.created_at, table.c.updated_at)).first()
    assert row is not None
    return row[0], row[1]


def test_new_rows_carry_the_time_of_their_making_in_utc(observed: Database) -> None:
    with observed.begin() as connection:
        connection.execute(sa.insert(Site).values(key="us", name="Cornell"))
        row = connection.execute(sa.select(Site.created_at, Site.updated_at).where(Site.key == "us")).one()
    assert row.created_at == row.updated_at
    assert abs(datetime.now(UTC) - row.created_at) < timedelta(minutes=5)


def test_no_value_of_the_writer_moves_a_clock_backwards_or_changes_the_making(observed: Database) -> None:
    table = Site.__table__
    with observed.engine.connect() as connection:
        created, updated = times(connection, table)
    with observed.begin() as connection:
        connection.execute(sa.update(Site).values(created_at=PAST, updated_at=PAST))
    with observed.engine.connect() as connection:
        assert times(connection, table)[0] == created
        assert times(connection, table)[1] > updated


def test_a_change_that_changes_nothing_leaves_the_clock(observed: Database) -> None:
    with observed.engine.connect() as connection:
        before = times(connection, RawDataPackage.__table__)
    with observed.begin() as connection:
        connection.execute(sa.update(RawDataPackage).values(size_bytes=RawDataPackage.size_bytes))
    with observed.engine.connect() as connection:
        assert times(connection, RawDataPackage.__table__) == before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(st.characters(exclude_characters="\x00", codec="utf-8")), min_size=1, max_size=6))
def test_every_change_moves_updated_at_forward(observed: Database, names: list[str]) -> None:
    """However quickly changes follow one another, in one transaction or in several, no two have the same time."""
    query = sa.select(ObservingProgram.created_at, ObservingProgram.updated_at, ObservingProgram.pi_name)
    with observed.engine.connect() as connection:
        created, latest, name = connection.execute(query).one()
    for together in (True, False):
        moments = []
        with observed.begin() as connection:
            for new in names:
                connection.execute(sa.update(ObservingProgram).values(pi_name=new))
                row = connection.execute(query).one()
                assert row.created_at == created
                assert (row.updated_at > latest) == (new != name)
                assert row.updated_at >= latest
                latest, name = row.updated_at, new
                moments.append(latest)
        if not together:
            assert moments == sorted(moments)


def test_the_orm_sees_the_new_time_after_it_has_written(observed: Database) -> None:
    with observed.session() as session:
        site = session.scalars(sa.select(Site)).first()
        assert site is not None
        before = site.updated_at
        site.name = "another"
        session.flush()
        assert site.updated_at > before


def test_a_change_of_a_subclass_moves_the_clock_of_the_whole(observed: Database) -> None:
    with observed.engine.connect() as connection:
        clocks = {row[0]: row[1] for row in connection.execute(sa.select(Source.id, Source.updated_at))}
        fixed = connection.scalar(sa.select(FixedSource.id))
    name = "fixed_source" if observed.dialect == "sqlite" else "ops.fixed_source"
    with observed.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {name} SET ra_deg = 84")
    with observed.engine.connect() as connection:
        after = {row[0]: row[1] for row in connection.execute(sa.select(Source.id, Source.updated_at))}
    assert {key for key, value in after.items() if value > clocks[key]} == {fixed}
    assert {key for key, value in after.items() if value == clocks[key]} == after.keys() - {fixed}


def test_every_table_with_timestamps_has_its_trigger(observed: Database) -> None:
    if observed.dialect == "sqlite":
        query = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name = 'opsdb_clock_' || tbl_name"
    else:
        query = (
            "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE tgname = 'opsdb_clock_' || c.relname"
        )
    with observed.engine.connect() as connection:
        found = set(connection.exec_driver_sql(query).scalars())
    assert found >= {table.name for table in TIMED}
    assert len(TIMED) > 30


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_triggers_end_where_a_writer_has_recursive_triggers_on(observed: Database) -> None:
    with observed.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA recursive_triggers = ON")
        before = raw.execute("SELECT updated_at FROM site").fetchone()[0]
        raw.execute("UPDATE site SET name = name || 'x'")
        raw.execute("UPDATE fixed_source SET ra_deg = 3")
        for written in ("2001-01-01T00:00:00.000000", "2099-01-01T00:00:00.000000") * 20:  # many in a millisecond
            raw.execute(f"UPDATE site SET updated_at = '{written}'")
            assert before < raw.execute("SELECT updated_at FROM site").fetchone()[0] < "2099"
        raw.execute("PRAGMA recursive_triggers = OFF")
