from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.errors import SettingsError, UnavailableError
from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype

ONE = Table("result", (Column("one", Datatype.INT),))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "catalog.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:memory?mode=memory",
        "sqlite://host/catalog.db",
        "sqlite+aiosqlite:///catalog.db",
        "mysql://u:hush-hush@h/d",
        "postgresql+asyncpg://u:hush-hush@h/d",
        "postgresql://u:hush-hush@h",
        "postgresql://u:hush-hush@h:port/d",
    ],
)
def test_other_address_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database(address)
    assert "expected sqlite:///PATH" in caught.value.message
    assert "hush-hush" not in str(caught.value)


def test_folder_of_the_file_is_created(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/a/b/catalog.db") as database, database.begin() as connection:
        assert connection.execute(sa.select(1)).scalar_one() == 1
    assert (tmp_path / "a" / "b" / "catalog.db").exists()


def test_relative_path_is_settled_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite:///var/catalog.db")
    monkeypatch.chdir("/")
    with database, database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
    assert (tmp_path / "var" / "catalog.db").exists()


def test_file_with_odd_characters_is_read(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/NGC 253 ä#%41.db") as database:
        with database.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        assert database.stream(sa.select(sa.literal(1)), ONE).read_all().to_pylist() == [{"one": 1}]


def test_absent_file_says_how_to_make_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none.db")
    with database, pytest.raises(UnavailableError, match=r"none\.db does not exist") as caught:
        database.stream(sa.select(sa.literal(1)), ONE).read_all()
    assert caught.value.hint is not None
    assert "catalog init" in caught.value.hint
    assert "--db" in caught.value.hint


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/var/none.db") as database, pytest.raises(UnavailableError):
        database.stream(sa.select(sa.literal(1)), ONE).read_all()
    assert not (tmp_path / "var").exists()


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no folder")
    with (
        Database(f"sqlite:///{tmp_path}/file/catalog.db") as database,
        pytest.raises(SettingsError, match=r"folder of the database file catalog\.db cannot be made: "),
        database.begin(),
    ):
        pass


def test_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.fits").write_bytes(b"SIMPLE  =                    T" * 100)
    database = Database(f"sqlite:///{tmp_path}/image.fits")
    with database, pytest.raises(SettingsError, match=r"image\.fits is not a SQLite database"):
        database.stream(sa.select(sa.literal(1)), ONE).read_all()


def test_server_that_does_not_answer_is_unavailable(unused_port: int) -> None:
    with Database(f"postgresql://u:hush-hush@127.0.0.1:{unused_port}/d") as database:
        with pytest.raises(UnavailableError) as read:
            database.stream(sa.select(sa.literal(1)), ONE).read_all()
        with pytest.raises(UnavailableError) as written, database.begin():
            pass
    assert "hush-hush" not in f"{read.value} {written.value} {read.value.__cause__} {written.value.__cause__}"


def test_published_names_follow_the_engine(database: Database) -> None:
    expected = {"sqlite": (None, "ivoa_obscore"), "postgresql": ("ivoa", "obscore")}
    assert database.published_name("ivoa.obscore") == expected[database.dialect]
    assert database.published_name("plain") == (None, "plain")


def test_public_address_must_be_of_the_same_kind(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="different kinds"):
        Database("postgresql://h/d", public_url=f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(SettingsError, match="leave database"):
        Database(f"sqlite:///{tmp_path}/a.db", public_url="postgresql://h/d")
