"""Settings: the file, the environment over it, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import SettingsError
from catalog.settings import load_settings


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
