from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.db import Database, UtcDateTime, UuidText
from catalog.errors import UsageError

MOMENTS = [
    datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 30, 15, 0, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(999, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 22, 0, 0, 1, tzinfo=timezone(timedelta(hours=-3))),
]
IDENTIFIER = UUID("6E7B0F2A-91E1-4B6C-8F0D-0123456789AB")

events = sa.Table(
    "events",
    sa.MetaData(),
    sa.Column("id", UuidText, primary_key=True),
    sa.Column("at", UtcDateTime),
    sa.Column("since", UtcDateTime, server_default=sa.literal(MOMENTS[0], UtcDateTime)),
)


@pytest.fixture
def connection(database: Database) -> Iterator[sa.Connection]:
    with database.begin() as opened:
        events.create(opened)
        yield opened


@pytest.mark.parametrize("moment", MOMENTS)
def test_time_comes_back_to_the_microsecond_in_utc(connection: sa.Connection, moment: datetime) -> None:
    connection.execute(events.insert().values(id=IDENTIFIER, at=moment))
    found = connection.execute(sa.select(events.c.at)).scalar_one()
    assert found == moment
    assert found.tzinfo is UTC


def test_none_comes_back_as_none(connection: sa.Connection) -> None:
    connection.execute(events.insert().values(id=IDENTIFIER, at=None))
    assert connection.execute(sa.select(events.c.at)).scalar_one() is None


def test_naive_time_is_refused(connection: sa.Connection) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        connection.execute(events.insert().values(id=IDENTIFIER, at=datetime(2026, 1, 1)))


def test_default_of_the_database_is_a_time(connection: sa.Connection) -> None:
    connection.execute(events.insert().values(id=IDENTIFIER))
    assert connection.execute(sa.select(events.c.since)).scalar_one() == MOMENTS[0]


def test_times_sort_and_compare_as_times(connection: sa.Connection) -> None:
    rows = [{"id": UUID(int=n), "at": moment} for n, moment in enumerate(MOMENTS)]
    connection.execute(events.insert(), rows)
    found = connection.execute(sa.select(events.c.at).order_by(events.c.at)).scalars().all()
    assert found == sorted(MOMENTS)
    later = connection.execute(sa.select(sa.func.count()).where(events.c.at > MOMENTS[1])).scalar_one()
    assert later == sum(moment > MOMENTS[1] for moment in MOMENTS)


def test_stored_text_on_sqlite_is_the_documented_one(tmp_path: object) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database, database.begin() as connection:
        events.create(connection)
        connection.execute(events.insert().values(id=IDENTIFIER, at=MOMENTS[4]))
        raw = connection.exec_driver_sql("SELECT id, at, since FROM events").one()
    assert tuple(raw) == (
        "6e7b0f2a-91e1-4b6c-8f0d-0123456789ab",
        "2026-03-02T01:00:00.000001",
        "2026-03-01T12:30:15.123456",
    )


@pytest.mark.parametrize("given", [IDENTIFIER, str(IDENTIFIER), str(IDENTIFIER).upper(), IDENTIFIER.hex])
def test_uuid_is_found_however_it_is_spelt(connection: sa.Connection, given: UUID | str) -> None:
    connection.execute(events.insert().values(id=IDENTIFIER))
    assert connection.execute(sa.select(events.c.id).where(events.c.id == given)).scalar_one() == IDENTIFIER


def test_text_that_is_no_uuid_is_refused(connection: sa.Connection) -> None:
    with pytest.raises(UsageError, match="'orion' is not a UUID"):
        connection.execute(sa.select(events).where(events.c.id == "orion"))
