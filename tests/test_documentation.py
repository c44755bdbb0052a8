"""The documentation names what there is, its links lead somewhere, and its examples do what it shows.

Blocks marked ``sh`` and ``python`` of the pages in `PAGES_THAT_RUN` are run in their order, in a folder of their own;
a block marked ``text`` that follows is what they print. ``CATALOG_DOCS_UPDATE=1`` writes what they print into the
pages. Blocks marked ``console`` are shown only.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import typer
from postgres import free_port

from catalog.adql import expressions, lexer, resolver, tables
from catalog.cli import app
from catalog.errors import QueryError
from catalog.formats.media import FORMATS
from catalog.settings import AttachedSettings, Settings
from catalog.vo.tableset import load_tableset
from catalog.web.parameters import MAX_BODY_BYTES

CATALOG = Path(sys.executable).parent / "catalog"
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
PAGES_THAT_RUN = {
    "README.md": "demo",
    "docs/tutorial.md": "demo",
    "docs/tutorial-copies.md": "empty",
    "docs/how-to/ask.md": "demo",
    "docs/how-to/export.md": "demo",
    "docs/how-to/free.md": "demo",
    "docs/how-to/ingest.md": "empty",
    "docs/how-to/move.md": "empty",
    "docs/how-to/serve-files.md": "later",
    "docs/reference/python.md": "demo",
}
"""Page, and the catalog that its examples begin with: a service is there at once, never, or when curl is first used."""

PAGES_ON_BOTH_ENGINES = ("docs/tutorial-copies.md",)
"""Pages whose examples print the same on PostgreSQL."""

SHOWN_URL = "http://127.0.0.1:8080"
SHOWN_FOLDER = "/home/you/work"
SHOWN_DAY = "2027-04-02"
SHOWN_TIME = f"{SHOWN_DAY}T09:00:00Z"
START_SECONDS = 120.0

FENCE = re.compile(r"^```([\w{}]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r'(?:^|^\$ |&& |bin/)catalog ((?:[a-z]|--verbose)(?:"[^"]*"|[^\n|;"])*)', re.MULTILINE)
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return FENCE.sub("", text)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Examples


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, where it stands, and the block of output that follows it."""

    language: str
    code: str
    output: re.Match[str] | None


def runnable_blocks(text: str) -> list[Block]:
    found = list(FENCE.finditer(text))
    blocks = []
    for block, after in zip(found, [*found[1:], None], strict=True):
        follows = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
        if block[1] in ("sh", "python"):
            blocks.append(Block(block[1], block[2], after if follows else None))
    return blocks


PYTHON_SESSION = """
import contextlib, io, json, sys, traceback
names = {}
for line in sys.stdin:
    printed, failed = io.StringIO(), False
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(json.loads(line), "<example>", "exec"), names)
        except Exception:
            traceback.print_exc()
            failed = True
    print(json.dumps([failed, printed.getvalue()]), flush=True)
"""
"""Runs blocks of code one after the other in the same names, as somebody does who types them in."""


class Place:
    """A folder to run examples in, with one Python session, and perhaps a service on its catalog."""

    def __init__(self, folder: Path, base_url: str, serve: Callable[[], str] | None = None, **settings: str) -> None:
        self._folder = folder
        self._serve = serve
        self._base_url = base_url
        self._environment = {**environment(), **settings}
        self._begun = datetime.now(UTC)
        self._session = subprocess.Popen(
            [sys.executable, "-c", PYTHON_SESSION],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, block: Block) -> tuple[bool, str]:
        """Whether a block failed, and what it printed, as the page shows it."""
        if self._serve is not None and "curl " in block.code:
            self._base_url, self._serve = self._serve(), None
        code = block.code.replace(SHOWN_URL, self._base_url)
        failed, output = self._shell(code) if block.language == "sh" else self._python(code)
        output = output.replace(self._base_url, SHOWN_URL).replace(str(self._folder), SHOWN_FOLDER)
        for day in {f"{moment:%Y-%m-%d}" for moment in (self._begun, datetime.now(UTC))}:
            output = re.sub(rf"{day}T\d\d:\d\d:\d\dZ", SHOWN_TIME, output).replace(day, SHOWN_DAY)
        return failed, "".join(f"{line.rstrip()}\n" for line in output.splitlines())

    def close(self) -> None:
        self._session.communicate(timeout=20)

    def _shell(self, code: str) -> tuple[bool, str]:
        done = subprocess.run(
            ["bash", "-c", code],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode != 0, done.stdout

    def _python(self, code: str) -> tuple[bool, str]:
        assert self._session.stdin is not None
        assert self._session.stdout is not None
        print(json.dumps(code), file=self._session.stdin, flush=True)
        failed, output = json.loads(self._session.stdout.readline())
        return failed, output


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "CATALOG_SERVICE_BASE_URL": SHOWN_URL, "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog that `make run` makes."""
    path = tmp_path_factory.mktemp("demonstration") / "catalog.db"
    made = subprocess.run(
        [CATALOG, "demo", "--db", f"sqlite:///{path}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sqlite3; sqlite3.connect({str(path)!r}).execute('PRAGMA wal_checkpoint(TRUNCATE)')",
        ],
        check=True,
    )
    return path


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A folder with ``var/catalog.db`` of the kind that the page wants, and a service on it."""
    with ExitStack() as stack:
        base_url = SHOWN_URL
        if PAGES_THAT_RUN[request.param] == "demo":
            (tmp_path / "var").mkdir()
            shutil.copy(request.getfixturevalue("demonstration"), tmp_path / "var" / "catalog.db")
            base_url = stack.enter_context(serving(tmp_path))
        is_later = PAGES_THAT_RUN[request.param] == "later"
        serve = (lambda: stack.enter_context(serving(tmp_path))) if is_later else None
        yield stack.enter_context(closing(Place(tmp_path, base_url, serve)))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a service on the catalog of a folder."""
    base_url, log = f"http://127.0.0.1:{free_port()}", folder / "service.log"
    environ = {**environment(), "CATALOG_SERVICE_BASE_URL": base_url}  # jobs are looked for where they say they are
    with log.open("w") as sink:
        process = subprocess.Popen(
            [CATALOG, "serve", "--port", base_url.rpartition(":")[2]], cwd=folder, env=environ, stderr=sink
        )
    try:
        wait_for(base_url, process, log)
        yield base_url
    finally:
        process.terminate()
        process.wait(20)


def wait_for(base_url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"{base_url}/tap/availability").raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, read(log)
            assert time.monotonic() < deadline, read(log)
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("place", PAGES_THAT_RUN, indirect=True, ids=str)
def test_examples_do_what_the_page_shows(
    place: Place, request: pytest.FixtureRequest, find_program: Callable[[str], str]
) -> None:
    run_page(ROOT / request.node.callspec.params["place"], place, find_program)


@pytest.mark.parametrize("page", PAGES_ON_BOTH_ENGINES)
def test_examples_do_the_same_on_postgresql(
    page: str, postgres_server: Any, tmp_path: Path, find_program: Callable[[str], str]
) -> None:
    with closing(Place(tmp_path, SHOWN_URL, CATALOG_DATABASE_URL=postgres_server.create_database())) as place:
        run_page(ROOT / page, place, find_program)


def run_page(page: Path, place: Place, find_program: Callable[[str], str]) -> None:
    """Run the examples of a page; what they print is what it shows."""
    text = read(page)
    found = runnable_blocks(text)
    assert found
    printed: list[tuple[re.Match[str], str]] = []
    for block in found:
        for program in ("curl", "stilts"):
            if re.search(rf"^{program} ", block.code, re.MULTILINE):
                find_program(program)
        failed, output = place.run(block)
        if block.output is None:
            assert not failed, f"{block.code}\n{output}"
        else:
            printed.append((block.output, output))
    if os.environ.get("CATALOG_DOCS_UPDATE"):
        for match, output in reversed(printed):
            text = f"{text[: match.start()]}```text\n{output}```{text[match.end() :]}"
        page.write_text(text, encoding="utf-8")
        return
    for match, output in printed:
        assert output == match[2]


# Generated parts


@pytest.mark.parametrize("name", ["commands", "tables", "python", "functions", "faults"])
def test_generated_parts_are_as_the_code_says(generate: ModuleType, name: str) -> None:
    assert read(generate.PAGES[name]) == generate.render_page(name), "run: python docs/generate.py"


# Everything is named


def table_rows(text: str) -> list[list[str]]:
    """Cells of every row of every table on a page."""
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def settings_and_defaults() -> Iterator[tuple[str, Any]]:
    for section, field in Settings.model_fields.items():
        model = field.default if field.default is not None else None
        if model is None:
            continue
        for key in type(model).model_fields:
            default = getattr(model, key)
            yield f"{section}.{key}", getattr(default, "get_secret_value", lambda default=default: default)()


def test_every_setting_is_named_with_its_default() -> None:
    described = {}
    for names, default, *_ in table_rows(read(REFERENCE / "settings.md")):
        values = default.split(", ")
        keys = re.findall(r"`([^`]+)`", names)
        described.update(zip(keys, values if len(values) == len(keys) else [default] * len(keys), strict=True))
    for name, default in settings_and_defaults():
        assert name in described, f"{name} is not on the page of settings"
        if default in (None, ()):
            assert described[name] in ("none", "made of host and port"), name
        elif described[name].startswith("`"):
            shown = str(default).lower() if isinstance(default, bool) else default  # as TOML writes it
            assert described[name] == f"`{shown}`", name
    for field in AttachedSettings.model_fields.values():
        assert field.alias is None or f"attached.{field.alias}" in described
    for name in ("table_prefix", "tables"):
        assert f"attached.{name}" in described


def test_no_setting_is_named_that_does_not_exist() -> None:
    known = {name for name, _ in settings_and_defaults()}
    for names, *_ in table_rows(read(REFERENCE / "settings.md"))[1:]:
        for name in re.findall(r"`([^`]+)`", names):
            assert name in known or name.startswith("attached."), name


def test_every_command_of_the_readme_exists_and_every_command_is_in_the_readme() -> None:
    rows = [row[0] for row in table_rows(read(ROOT / "README.md")) if row[0].startswith("`catalog ")]
    shown = {" ".join(re.findall(r"[a-z]+(?:-[a-z]+)*", re.split(r"[A-Z\"]| -", row)[0])[1:]) for row in rows}
    assert shown == set(commands())


def test_every_option_of_the_command_itself_is_named() -> None:
    page = read(REFERENCE / "command-line.md")
    options = {name for param in typer.main.get_command(app).params for name in param.opts}
    assert {name for name in options - {"--show-completion"} if f"`{name}`" not in page} == set()


def test_every_output_format_is_named_with_its_names_and_endings() -> None:
    rows = table_rows(read(REFERENCE / "formats.md"))
    for form in FORMATS:
        row = next((row for row in rows if f"`{form.name}`" in row[1]), None)
        assert row is not None, f"{form.name} is not on the page of formats"
        named_there = re.findall(r"`([^`]+)`", f"{row[1]} {row[2]}")
        assert {*form.aliases, *form.media_types, *form.extensions} <= set(named_there), form.name


def test_every_format_of_a_file_is_named_where_files_are_exported() -> None:
    endings = {ending for form in FORMATS for ending in form.extensions}
    assert endings == set(re.findall(r"`(\.[a-z]+)`", read(DOCS / "how-to" / "export.md")))


def codes_in_the_code() -> set[str]:
    """Words given as ``code=`` outside the registry, whose codes are OAI-PMH's, and what a query has otherwise."""
    found = {QueryError("…").code}
    registry = set((ROOT / "catalog" / "registry").rglob("*.py")) | {ROOT / "catalog" / "web" / "oai.py"}
    for path in set((ROOT / "catalog").rglob("*.py")) - registry:
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found


def test_every_code_of_a_wrong_query_is_named_and_no_other() -> None:
    described = {row[0].strip("`") for row in table_rows(read(REFERENCE / "tap.md")) if re.match(r"`[a-z-]+`$", row[0])}
    assert described == codes_in_the_code()


def test_limits_of_a_query_are_those_of_the_code() -> None:
    limits = {row[0]: row[1] for row in table_rows(read(REFERENCE / "tap.md")) if len(row) == 2}
    settings = Settings().tap
    for starts, number in (
        ("rows, when", settings.maxrec_default),
        ("rows at most", settings.maxrec_hard),
        ("seconds", round(settings.sync_timeout_s)),
        ("queries at once", settings.sync_concurrency),
        ("bytes", MAX_BODY_BYTES),
        ("characters", lexer.MAX_CHARACTERS),
        ("words", lexer.MAX_TOKENS),
        ("parentheses", lexer.MAX_DEPTH),
        ("queries inside", resolver.MAX_QUERIES),
        ("queries in one", resolver.MAX_OPERANDS),
        ("tables", tables.MAX_TABLES),
        ("times that", tables.MAX_REFERENCES),
        ("keys", resolver.MAX_KEYS),
        ("operations", expressions.MAX_WEIGHT),
        ("columns", resolver.MAX_COLUMNS),
        ("terms", expressions.MAX_TERMS),
    ):
        row = next(limit for limit in limits if limit.startswith(starts))
        assert f"{number:,}" in limits[row], row


# The manifest

SECTIONS = {
    "ExecutedObsUnitRecord": "executed_obs_unit",
    "ObsUnitRecord": "obs_unit",
    "ProgramRecord": "program and sub_program",
    "SubProgramRecord": "program and sub_program",
    "SourceRecord": "source",
    "FileRecord": "files",
    "CopyRecord": "copies",
    "LocationRecord": "location",
    "MetadataRecord": "metadata",
}
LISTS = {
    "PackageState": "state",
    "Status": "status of the package",
    "PhysicalCopyStatus": "status of a copy",
    "Verification": "verification",
    "StorageType": "storage_type",
    "LocationType": "location_type",
    "ChecksumAlgorithm": "checksum_algorithm",
    "ExecutionStatus": "execution_status",
    "ObsCategory": "category",
    "DataRights": "data_rights",
    "ScanMode": "scan_mode",
    "TrackingType": "tracking_type",
}


def manifest_schema() -> dict[str, Any]:
    path = ROOT / "vo_resources" / "schemas" / "manifest.schema.json"
    schema: dict[str, Any] = json.loads(read(path))
    return schema


def manifest_sections() -> dict[str, str]:
    pieces = re.split(r"^## (.*)$", read(REFERENCE / "manifest.md"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_every_field_of_a_record_is_described_in_its_section_and_no_other() -> None:
    schema, sections = manifest_schema(), manifest_sections()
    wanted: dict[str, set[str]] = {"The record: one package": set(schema["properties"])}
    required = {"The record: one package": set(schema["required"])}
    for name, section in SECTIONS.items():
        definition = schema["$defs"][name]
        wanted.setdefault(section, set()).update(definition["properties"])
        required.setdefault(section, set()).update(definition.get("required", []))
    for section, fields in wanted.items():
        rows = table_rows(sections[section])[1:]
        described = {field: row for row in rows for field in re.findall(r"`(\w+)`", row[0])}
        assert set(described) == fields, section
        assert {field for field, row in described.items() if "required" in row[1]} == required[section], section


def test_every_object_and_closed_list_of_the_schema_has_a_place_on_the_page() -> None:
    schema = manifest_schema()
    assert set(schema["$defs"]) == {*SECTIONS, *LISTS}
    rows = {row[0].replace("`", ""): row[1] for row in table_rows(manifest_sections()["Closed lists"])}
    for name, field in LISTS.items():
        assert re.findall(r"`([^`]+)`", rows[field]) == schema["$defs"][name]["enum"], field
    scales = next(values for field, values in rows.items() if field.startswith("time_scale"))
    assert set(re.findall(r"`([^`]+)`", scales)) == set(schema["properties"]["time_scale"]["enum"])
    types = schema["$defs"]["SourceRecord"]["properties"]["type"]["anyOf"][0]["enum"]
    assert all(f"`{word}`" in manifest_sections()["source"] for word in types)
    products = schema["$defs"]["MetadataRecord"]["properties"]["dataproduct_type"]["anyOf"][0]["enum"]
    assert all(f"`{word}`" in manifest_sections()["metadata"] for word in products)


# Published tables


def test_every_published_table_and_column_is_on_its_page() -> None:
    pieces = re.split(r"^## (.*)$", read(REFERENCE / "published-tables.md"), flags=re.MULTILINE)
    sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    published = {table.name: table for schema in load_tableset() for table in schema.tables}
    assert set(sections) == set(published)
    for name, table in published.items():
        rows = [row[0] for row in table_rows(sections[name])[1:]]
        assert [row.split("`")[1] for row in rows] == [column.name for column in table.columns]


def test_no_description_has_a_word_that_a_folded_line_broke() -> None:
    described = [thing for schema in load_tableset() for table in schema.tables for thing in (table, *table.columns)]
    assert [thing.name for thing in described if re.search(r"\w- \w", thing.description or "")] == []


# Links, commands in prose, the tree of pages


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} (.*)$", without_code(read(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(without_code(read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), target
        assert goal.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(goal), target


def test_no_page_is_an_orphan_and_the_tree_names_no_page_that_is_not_there() -> None:
    named_in_tree: set[Path] = set()
    for tree in re.findall(r"^```{toctree}\n(.*?)^```$", read(DOCS / "index.md"), re.MULTILINE | re.DOTALL):
        for entry in (line.strip() for line in tree.splitlines()):
            if not entry or entry.startswith(":"):
                continue
            found = list(DOCS.glob(f"{entry}.md"))
            assert found, entry
            named_in_tree.update(found)
    assert {page for page in DOCS.rglob("*.md") if "_build" not in page.parts} == named_in_tree | {DOCS / "index.md"}


def test_decisions_are_numbered_and_short() -> None:
    pages = sorted((DOCS / "decisions").iterdir())
    numbers = [int(page.name[:4]) for page in pages if re.fullmatch(r"\d{4}-[a-z0-9.-]+\.md", page.name)]
    assert numbers == list(range(1, len(pages) + 1))
    for number, page in zip(numbers, pages, strict=True):
        assert read(page).startswith(f"# {number}. "), page.name


def commands() -> dict[str, Any]:
    """Every command by the words that call it."""
    found: dict[str, Any] = {}

    def gather(group: Any, path: str) -> None:
        for name, command in group.commands.items():
            called = f"{path} {name}".strip()
            if hasattr(command, "commands"):
                gather(command, called)
            else:
                found[called] = command

    gather(typer.main.get_command(app), "")
    return found


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every call of the command in fenced blocks."""
    for block in FENCE.finditer(text):
        if block[1] in ("sh", "console", "ini"):
            joined = block[2].replace("\\\n", " ")
            for call in CALL.findall(joined):
                yield list(takewhile(lambda word: not re.match("2?>", word), shlex.split(call)))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_line_on_a_page_is_one_that_the_command_takes(page: Path) -> None:
    known = commands()
    for words in command_lines(read(page)):
        words = [word for word in words if word != "--verbose"]
        for length in (2, 1):
            called = " ".join(words[:length])
            if called in known:
                options = {name for param in known[called].params for name in (*param.opts, *param.secondary_opts)}
                used = {word.partition("=")[0] for word in words[length:] if re.match(r"--?[a-z]", word)}
                assert used <= options, words
                break
        else:
            assert words[:1] in ([], ["…"]), f"there is no command {words}"
