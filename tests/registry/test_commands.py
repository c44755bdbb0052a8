"""The commands of the registry, as an operator types them."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from lxml import etree

from catalog import open_catalog
from catalog.cli import main
from catalog.registry.records import load_records
from catalog.registry.schemas import SchemaSet

CATALOG = Path(sys.executable).parent / "catalog"
MINE = {
    "authority": "org.fyst-archive",
    "publisher": 'The "FYST" archive',
    "contact-name": "FYST desk",
    "contact-email": "desk@fyst-archive.org",
}


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a command in a folder, with settings in the environment; in this process, which is quicker."""

    def command(folder: Path, *arguments: str | Path, **settings: str) -> Done:
        with monkeypatch.context() as changed:
            changed.chdir(folder)
            for name in [name for name in os.environ if name.startswith("CATALOG_")]:
                changed.delenv(name)
            for name, value in settings.items():
                changed.setenv(f"CATALOG_{name.upper()}", value)
            changed.setattr(sys, "argv", ["catalog", "registry", *map(str, arguments)])
            changed.setattr(sys, "stdin", io.StringIO())
            capsys.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
            said = capsys.readouterr()
        return Done(int(str(end.value.code)), said.out, said.err)

    return command


def options(**changes: str | None) -> list[str]:
    values = {**MINE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return [part for name, value in values.items() if value is not None for part in (f"--{name}", value)]


@pytest.fixture(scope="session")
def engine() -> str:
    """One is enough: what the commands call is tested on each."""
    return "sqlite"


@pytest.fixture
def url(copy_of_filled: Callable[[], str]) -> str:
    """A database in whose registry nothing has been published."""
    return copy_of_filled()


def test_what_is_published_is_listed_shown_and_dumped(run: Run, url: str, tmp_path: Path, schemas: SchemaSet) -> None:
    assert run(tmp_path, "list", "--db", url).stdout == ""
    published = run(tmp_path, "publish", "--db", url, "--json")
    assert "reserved for demonstrations" in published.stderr
    created = json.loads(published.stdout)["created"]
    records = json.loads(run(tmp_path, "list", "--db", url, "--json").stdout)["records"]
    assert len(records) == created
    assert [record["identifier"] for record in records] == sorted(record["identifier"] for record in records)
    shown = run(tmp_path, "show", "ivo://ccat.example/tap", "--db", url)
    assert etree.fromstring(shown.stdout).findtext("identifier") == "ivo://ccat.example/tap"
    assert run(tmp_path, "show", "IVO://ccat.EXAMPLE/Tap", "--db", url).stdout == shown.stdout
    assert "<dc:title>" in run(tmp_path, "show", "ivo://ccat.example/tap", "--dublin-core", "--db", url).stdout
    nothing = run(tmp_path, "show", "ivo://ccat.example/nothing", "--db", url)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    done = run(tmp_path, "dump", "all", "--db", url, "--json")
    assert json.loads(done.stdout) == {"records": created, "folder": "all"}
    files = sorted((tmp_path / "all").rglob("*.xml"))
    assert len(files) == created
    assert tmp_path / "all" / "ccat.example" / "collections" / "GEco.xml" in files
    assert [problem for path in files for problem in schemas.problems(path.read_bytes())] == []


def test_init_makes_records_that_can_be_published(run: Run, url: str, tmp_path: Path) -> None:
    made = run(tmp_path, "init", "mine", *options(), "--license", "CC-BY-4.0")
    assert made.returncode == 0, made.stderr
    settings = tomllib.loads(made.stdout)
    assert settings["publication"] == {
        "authority": MINE["authority"],
        "publisher": MINE["publisher"],
        "contact": MINE["contact-email"],
    }
    assert settings["registry"] == {"records": "mine"}
    assert load_records(tmp_path / "mine").publisher.contact.name == "FYST desk"
    (tmp_path / "catalog.toml").write_text(made.stdout)
    again = run(tmp_path, "init", "mine", *options())
    assert again.returncode == 2
    assert "there are records in mine already" in again.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"authority": "ccat.example"}, "ccat.example is reserved for examples"),
        ({"contact_email": "me@example.org"}, "example.org is reserved for examples"),
        ({"contact_email": "nobody"}, "--contact-email cannot be 'nobody'; expected an address such as"),
        ({"contact_name": " "}, "--contact-name cannot be ' '; expected a name"),
        ({"publisher": "TODO"}, "--publisher cannot be 'TODO'; expected the name of an organisation"),
        ({"license": "CC BY"}, "--license cannot be 'CC BY'; expected an identifier of SPDX such as CC-BY-4.0"),
        ({"license": "CC-BY-9.0"}, "--license cannot be 'CC-BY-9.0'"),
        ({"authority": "a b"}, "is not a naming authority"),
        ({"publisher": None}, "--publisher is missing; only you know it"),
    ],
)
def test_init_refuses_placeholders(run: Run, tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
    refused = run(tmp_path, "init", "mine", *options(**changes))
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not (tmp_path / "mine").exists()


def test_files_that_are_in_the_way_are_named(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run(tmp_path, "publish", "--db", url)
    for arguments in (["init", "file", *options()], ["dump", "file", "--db", url]):
        refused = run(tmp_path, *arguments)
        assert refused.returncode == 2
        assert "file" in refused.stderr
        assert "unforeseen" not in refused.stderr


TERMS = {"submillimeter-astronomy": {}, "millimeter-astronomy": {"deprecated": "", "useInstead": "radio-astronomy"}}


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ({"uri": "http://www.ivoa.net/rdf/uat", "terms": {term: {} for term in TERMS}}, 0, ""),
        ({"uri": "https://www.ivoa.net/rdf/uat#", "terms": TERMS}, 1, "the subject millimeter-astronomy is deprecated"),
        ({"uri": "http://www.ivoa.net/rdf/uat", "terms": {"stars": {}}}, 1, "submillimeter-astronomy is no term of"),
        (
            {"uri": "http://www.ivoa.net/rdf/messenger", "terms": TERMS},
            2,
            "is the vocabulary http://www.ivoa.net/rdf/m",
        ),
        ({"terms": TERMS}, 2, "uat.json is no vocabulary of the IVOA"),
        ({"uri": "http://www.ivoa.net/rdf/uat", "terms": ["stars"]}, 2, "uat.json is no vocabulary of the IVOA"),
        ([], 2, "uat.json is no vocabulary of the IVOA"),
    ],
)
def test_subjects_are_judged_by_a_thesaurus(
    run: Run, url: str, tmp_path: Path, content: object, code: int, message: str
) -> None:
    (tmp_path / "uat.json").write_text(json.dumps(content))
    judged = run(tmp_path, "check", "--offline", "--uat", "uat.json", "--db", url)
    assert judged.returncode == code
    assert message in judged.stderr
    assert "by their form alone" not in judged.stderr


def test_placeholders_stop_the_publication_and_are_all_listed(run: Run, url: str, tmp_path: Path) -> None:
    run(tmp_path, "init", "mine", *options())
    settings = {
        "publication_authority": "org.fyst-archive",
        "publication_publisher": "FYST archive",
        "registry_records": "mine",
        "service_base_url": "https://vo.fyst-archive.org",
    }
    publisher = yaml.safe_load((tmp_path / "mine" / "publisher.yaml").read_text())
    publisher["contact"]["email"] = "todo@example.org"
    (tmp_path / "mine" / "publisher.yaml").write_text(yaml.safe_dump(publisher))
    refused = run(tmp_path, "publish", "--db", url, **settings)
    assert refused.returncode == 2
    assert "is not fit to be published: todo@example.org" in refused.stderr
    judged = run(tmp_path, "check", "--offline", "--db", url, "--json", **settings)
    assert judged.returncode == 1
    findings = json.loads(judged.stdout)["findings"]
    assert len([f for f in findings if "todo@example.org" in f["message"]]) > 5  # of every record


@pytest.fixture
def serving(url: str, tmp_path: Path) -> Iterator[str]:
    """A service that has published its registry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [CATALOG, "serve", "--port", str(port), "--db", url]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/oai?verb=Identify").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_check_harvests_and_asks_every_address(
    run: Run, serving: str, url: str, tmp_path: Path, schemata: Path
) -> None:
    judged = run(tmp_path, "check", "--schemas", schemata, "--db", url, "--json", service_base_url=serving)
    assert judged.returncode == 0, judged.stderr
    findings = json.loads(judged.stdout)["findings"]
    assert {finding["level"] for finding in findings} == {"warning"}
    wrong = run(tmp_path, "check", "--url", f"{serving}/nothing", "--db", url, service_base_url=serving)
    assert wrong.returncode == 1
    assert "cannot be harvested: HTTP Error 404" in wrong.stderr
    away = run(tmp_path, "check", "--db", url, service_base_url="http://127.0.0.1:9")
    assert away.returncode == 1
    assert "error: http://127.0.0.1:9/tap/capabilities: does not answer; it is named by" in away.stderr
    assert away.stderr.count("http://127.0.0.1:9/: does not answer") == 1


def test_datacite_of_a_collection_with_a_doi(run: Run, url: str, tmp_path: Path) -> None:
    with open_catalog(url) as catalog:
        folder = catalog.registry.folder
    mine = tmp_path / "mine"
    mine.mkdir()
    for path in folder.glob("*.yaml"):
        (mine / path.name).write_bytes(path.read_bytes())
    declared = yaml.safe_load((folder / "collections.yaml").read_text())
    declared |= {
        "collection": "GEco",
        "doi": "10.1234/fyst.geco",
        "creators": [{"name": "A & B", "orcid": "0000-0002-1825-0097"}],
        "version": "2",
    }
    (mine / "geco.yaml").write_text(yaml.safe_dump(declared))
    settings = {"registry_records": "mine"}
    assert run(tmp_path, "publish", "--db", url, **settings).returncode == 0
    identifier = "ivo://ccat.example/collections/GEco"
    told = json.loads(run(tmp_path, "datacite", identifier, "--db", url, **settings).stdout)
    assert told["doi"] == "10.1234/fyst.geco"
    assert told["creators"][0]["nameIdentifiers"][0]["nameIdentifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert told["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    assert told["alternateIdentifiers"][0]["alternateIdentifier"] == identifier
    tree = etree.fromstring(run(tmp_path, "datacite", identifier, "--xml", "--db", url, **settings).stdout.encode())
    kernel = "{http://datacite.org/schema/kernel-4}"
    assert tree.findtext(f"{kernel}identifier") == told["doi"]
    assert tree.findtext(f"{kernel}creators/{kernel}creator/{kernel}creatorName") == "A & B"
    assert tree.findtext(f"{kernel}publicationYear") == str(told["publicationYear"])
    record = run(tmp_path, "show", identifier, "--db", url, **settings).stdout
    assert "<altIdentifier>doi:10.1234/fyst.geco</altIdentifier>" in record
    without = run(tmp_path, "datacite", "ivo://ccat.example/collections/CMB", "--db", url, **settings)
    assert without.returncode == 2
    assert "has no DOI" in without.stderr
