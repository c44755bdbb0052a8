"""Settings: the file, the environment over it, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import SettingsError
from catalog.settings import Settings, load_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "catalog.toml"
    path.write_text(text)
    return path


def test_defaults_hold_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})
    assert settings.database.url.get_secret_value() == "sqlite:///var/catalog.db"
    assert settings.service.url == "http://127.0.0.1:8080"


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[service]\nport = 9000\ntitle = "Ours"\n[tap]\nmaxrec_default = 7\n')
    settings = load_settings(path, {"CATALOG_SERVICE_PORT": "9100", "CATALOG_DATABASE_URL": "sqlite:///x.db"})
    assert settings.service.port == 9100
    assert settings.service.title == "Ours"
    assert settings.tap.maxrec_default == 7
    assert settings.database.url.get_secret_value() == "sqlite:///x.db"


def test_the_variable_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[service]\nport = 9000\n")
    assert load_settings(environ={"CATALOG_CONFIG": str(path)}).service.port == 9000


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("[service]\nprot = 1\n", {}, "service.prot"),
        ("[srvice]\nport = 1\n", {}, "srvice"),
        ("[service]\nport = 'many'\n", {}, "service.port"),
        ("[service]\nport = 70000\n", {}, "service.port"),
        ("[service]\nbase_url = 'ftp://x'\n", {}, "service.base_url"),
        ("service = 1\n", {"CATALOG_SERVICE_PORT": "1"}, "service"),
        ("", {"CATALOG_SERVICE_PROT": "1"}, "service.prot"),
        ("", {"CATALOG_SERVCE_PORT": "1"}, "CATALOG_SERVCE_PORT"),
        ("", {"CATALOG_ATTACHED_SCHEMA": "x"}, "CATALOG_ATTACHED_SCHEMA"),
        ("[tap]\nmaxrec_hard = 0\n", {}, "tap.maxrec_hard"),
        ("not toml", {}, "catalog.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(written(tmp_path, text), environ)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no settings file .*absent\.toml"):
        load_settings(tmp_path / "absent.toml", {})


def test_secrets_stay_out_of_messages_and_of_print(tmp_path: Path) -> None:
    url = "postgresql://owner:hunter2@127.0.0.1/x"
    settings = load_settings(written(tmp_path, ""), {"CATALOG_DATABASE_URL": url})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())
    with pytest.raises(SettingsError) as raised:
        load_settings(written(tmp_path, "[database]\nurl = ['hunter2']\n"), {})
    assert "hunter2" not in str(raised.value)


def test_attached_names_are_read(tmp_path: Path) -> None:
    text = """
[attached]
schema = "observatory"
table_prefix = "t_"
[attached.tables]
raw_data_package = "packages"
[attached.columns.raw_data_package]
size_bytes = "size"
[attached.enums."raw_data_package.state"]
ARCHIVED = "archived"
"""
    attached = load_settings(written(tmp_path, text), {}).attached
    assert attached is not None
    assert attached.schema_name == "observatory"
    assert attached.tables["raw_data_package"] == "packages"
    assert attached.columns["raw_data_package"]["size_bytes"] == "size"
    assert attached.enums["raw_data_package.state"]["ARCHIVED"] == "archived"


def test_an_operator_is_told_of_folders_that_are_not_there(tmp_path: Path) -> None:
    locations = {"koeln/archive": {"root": str(tmp_path)}, "koeln/second": {"root": str(tmp_path / "unmounted")}}
    [caution] = Settings.model_validate({"files": {"locations": locations}}).files.cautions
    assert caution == f"no copy at koeln/second is served: there is no folder {tmp_path}/unmounted on this machine"


POSTGRESQL = "postgresql://catalog@db.example.org/observatory"


@pytest.mark.parametrize(
    ("database", "jobs", "results", "workers", "words"),
    [
        ("sqlite:///a.db", "sqlite:///b.db", "var/results", 2, []),
        (POSTGRESQL, "sqlite:///b.db", "var/results", 2, []),
        (POSTGRESQL, POSTGRESQL, "s3://bucket/results", 2, []),
        (POSTGRESQL, POSTGRESQL, "s3://bucket/results", 0, ["jobs wait for `catalog worker`"]),
        (POSTGRESQL, POSTGRESQL, "var/results", 2, ["must see the same folder jobs.results"]),
        ("sqlite:///a.db", POSTGRESQL, "s3://bucket/results", 2, ["database.url is a file"]),
        (POSTGRESQL, "sqlite:///b.db", "var/results", 0, ["others would need PostgreSQL in jobs.url"]),
        (
            "sqlite:///a.db",
            "sqlite:///b.db",
            "var/results",
            0,
            ["others would need PostgreSQL in database.url and jobs.url"],
        ),
    ],
)
def test_an_operator_is_told_what_holds_on_one_machine_alone(
    database: str, jobs: str, results: str, workers: int, words: list[str]
) -> None:
    values = {"database": {"url": database}, "jobs": {"url": jobs, "results": results, "workers": workers}}
    cautions = Settings.model_validate(values).cautions
    assert len(cautions) == len(words)
    assert all(word in caution for word, caution in zip(words, cautions, strict=True))


def test_trusted_proxies_are_addresses_and_networks() -> None:
    environ = {"CATALOG_SERVICE_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8 ::1"}
    assert [str(network) for network in load_settings(environ=environ).service.trusted_proxies] == [
        "127.0.0.1/32",
        "10.0.0.0/8",
        "::1/128",
    ]
    with pytest.raises(SettingsError, match=r"service.trusted_proxies.*expected addresses and networks"):
        load_settings(environ={"CATALOG_SERVICE_TRUSTED_PROXIES": "10.0.0.7/8"})


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("{}", "exactly one of root, url and bucket"),
        ('{root = "/data", url = "https://x.org"}', "exactly one of root, url and bucket"),
        ('{root = "data"}', "by its whole path"),
        ('{root = "/"}', "by its whole path"),
        ('{root = "/data/../etc"}', "by its whole path"),
        ('{root = "/data", prefix = "raw"}', "prefix belongs to a location with a bucket"),
        ('{bucket = "raw"}', "needs its endpoint"),
        ('{url = "file:///etc"}', "expected a URL"),
        ('{url = "https://"}', "expected a URL"),
        ('{url = "https://ada:secret@x.org"}', "expected a URL"),
        ('{url = "https://x.org/?a=b"}', "expected a URL"),
        ('{url = "https://x.org/\\r\\nset-cookie: a"}', "expected a URL"),
        ('{bucket = "raw", endpoint = "s3://x"}', "expected a URL"),
    ],
)
def test_a_location_that_cannot_be_served_is_refused(tmp_path: Path, location: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as refused:
        load_settings(written(tmp_path, f'[files.locations]\n"cologne/archive" = {location}\n'), {})
    assert "files.locations.cologne/archive" in refused.value.message
    assert "secret" not in refused.value.message


def test_a_location_is_named_by_its_site_and_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'archive' is no location; expected SITE/NAME"):
        load_settings(written(tmp_path, '[files.locations]\narchive = {root = "/data"}\n'), {})
    with pytest.raises(SettingsError, match="expected SITE/NAME"):
        load_settings(written(tmp_path, '[files]\nstaging_location = "cologne"\n'), {})


def test_the_environment_states_locations_in_json() -> None:
    environ = {
        "CATALOG_FILES_LOCATIONS": '{"cologne/archive": {"url": "https://archive.example.org/raw/"}}',
        "CATALOG_FILES_REGIONS": '{"cologne": "europe"}',
        "CATALOG_FILES_NEAR": "europe, chile",
    }
    files = load_settings(environ=environ).files
    assert files.locations["cologne/archive"].url == "https://archive.example.org/raw"
    assert (files.regions, files.near) == ({"cologne": "europe"}, ("europe", "chile"))
    with pytest.raises(SettingsError, match="JSON"):
        load_settings(environ={"CATALOG_FILES_LOCATIONS": "cologne/archive=/data"})
