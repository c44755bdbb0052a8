"""``catalog get``: what is wanted, what is said, how it ends; and no database anywhere."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.table import Table
from download import archives
from download.archives import Archive, serve_bytes

CATALOG = Path(sys.executable).with_name("catalog")
CONTENTS = {f"ivo://ccat.example/raw?{n}": random.Random(n).randbytes(200_000 + n) for n in range(6)}
DIDS = list(CONTENTS)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with archives.archive() as made:
        for number, (did, content) in enumerate(CONTENTS.items()):
            made.link(did, made.put(f"/{number}.tar", content), content)
        yield made


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")} | more


def run(
    archive: Archive, folder: Path, *words: object, given: bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    command = [CATALOG, "get", "--service", f"{archive.url}/links", *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, cwd=folder, env=environment(**more), timeout=120)


def check(folder: Path, *numbers: int) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{n}.tar" for n in numbers)
    for number in numbers:
        assert (folder / f"{number}.tar").read_bytes() == CONTENTS[DIDS[number]]


def test_datasets_are_downloaded_and_named_on_standard_output(archive: Archive, tmp_path: Path) -> None:
    done = run(archive, tmp_path, DIDS[0], DIDS[1], DIDS[0], "--to", "out/raw")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.decode().split()) == ["out/raw/0.tar", "out/raw/1.tar"]
    assert done.stderr.decode() == "2 of 2 files, 400,001 bytes\n"
    check(tmp_path / "out/raw", 0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(archive.requests("/links")) == 1


def test_a_summary_says_everything(archive: Archive, tmp_path: Path) -> None:
    done = run(archive, tmp_path, DIDS[2], "ivo://ccat.example/raw?none", "--json")
    assert done.returncode == 2
    assert "no links of ivo://ccat.example/raw?none" in done.stderr.decode()
    told = json.loads(done.stdout)
    assert (told["files"], told["bytes"], told["failed"]) == (1, 200_002, 1)
    by_did = {each["did"]: each for each in told["downloads"]}
    assert by_did[DIDS[2]]["verified"] == "sha256"
    assert by_did[DIDS[2]]["is_new"] is True
    assert by_did["ivo://ccat.example/raw?none"]["path"] is None


@pytest.mark.parametrize("form", ["lines", "votable", "csv", "fits", "standard input", "table on standard input"])
def test_a_file_says_what_is_wanted(archive: Archive, tmp_path: Path, form: str) -> None:
    table = Table({"n": [1, 2, 3], "obs_publisher_did": [DIDS[0], DIDS[3], DIDS[0]]})
    lines = f"\n{DIDS[0]}\r\n\n{DIDS[3]}\n{DIDS[0]}".encode()
    path = tmp_path / "wanted"
    if form == "votable":
        table.write(path, format="votable")
    elif form == "csv":
        path.write_text(csv_of(table))
    elif form == "fits":
        table.write(path, format="fits")
    else:
        path.write_bytes(csv_of(table).encode() if "table" in form else lines)
    to = tmp_path / "out"
    if "input" in form:
        named = ["-"] if form == "standard input" else ["--list", "-"]
        done = run(archive, tmp_path, *named, "--to", to, given=path.read_bytes())
    else:
        done = run(archive, tmp_path, "--list", path, "--to", to)
    assert done.returncode == 0, done.stderr
    check(to, 0, 3)


def csv_of(table: Table) -> str:
    rows = [",".join(table.colnames), *(",".join(map(str, row)) for row in table)]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no identifier is named"),
        (("--list", "nowhere"), "cannot be read"),
        (("--list", "other.csv"), "no column obs_publisher_did"),
        ((DIDS[0], "--token-file", "nowhere"), "cannot be read"),
        ((DIDS[0], "--to", "other.csv"), "cannot be a folder"),
        ((DIDS[0], "--service", "archive.example"), "no address"),
        ((DIDS[0], "--service", "http://archive.example", "--token-file", "other.csv"), "https only"),
    ],
)
def test_wrong_use_is_said_and_has_exit_code_2(
    archive: Archive, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "other.csv").write_text("x\n")
    done = run(archive, tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert done.stdout == b""


def test_wrong_bytes_have_exit_code_1_and_silent_services_3(archive: Archive, tmp_path: Path) -> None:
    archive.put("/0.tar", CONTENTS[DIDS[0]][::-1])
    done = run(archive, tmp_path, DIDS[0], DIDS[1], "--to", "out")
    assert (done.returncode, done.stdout) == (1, b"out/1.tar\n")
    assert "another sha256" in done.stderr.decode()
    check(tmp_path / "out", 1)
    archive.close()
    done = run(archive, tmp_path, DIDS[0], "--timeout", "2")
    assert done.returncode == 3
    assert "does not answer" in done.stderr.decode()


@pytest.mark.parametrize(("word", "code"), [("DefaultFault", 2), ("FatalFault", 2), ("TransientFault", 3)])
def test_what_the_service_does_not_give_out_is_no_fault_of_bytes(
    archive: Archive, tmp_path: Path, word: str, code: int
) -> None:
    did = "ivo://ccat.example/raw?kept"
    archive.link(did, None, error_message=f"{word}: it is kept elsewhere")
    done = run(archive, tmp_path, did)
    assert (done.returncode, done.stdout) == (code, b"")
    assert f"{did}: it is kept elsewhere" in done.stderr.decode()


def test_ends_of_lines_of_a_csv_are_no_part_of_an_identifier(archive: Archive, tmp_path: Path) -> None:
    done = run(archive, tmp_path, f"{DIDS[0]}\r", "--to", "out")
    assert (done.returncode, done.stdout) == (0, b"out/0.tar\n")


def test_a_token_is_sent_and_never_shown(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    first = run(archive, tmp_path, DIDS[0], "--token-file", "token", CATALOG_TOKEN="from-the-environment")
    second = run(archive, tmp_path, DIDS[1], CATALOG_TOKEN="from-the-environment")
    third = run(archive, tmp_path, "ivo://ccat.example/raw?none", CATALOG_TOKEN="from-the-environment")
    sent = [headers.get("Authorization") for headers in archive.requests("/links")]
    assert sent == ["Bearer from-the-file", "Bearer from-the-environment", "Bearer from-the-environment"]
    assert archive.requests("/1.tar")[0]["Authorization"] == "Bearer from-the-environment"
    for done in (first, second, third):
        assert b"from-the" not in done.stdout + done.stderr
    other = subprocess.run(
        [CATALOG, "init", "--db", f"sqlite:///{tmp_path}/c.db"], env=environment(CATALOG_TOKEN="x"), cwd=tmp_path
    )
    assert other.returncode == 0


def test_several_are_downloaded_at_once(archive: Archive, tmp_path: Path) -> None:
    for number in range(6):
        slowly = CONTENTS[DIDS[number]]
        archive.answers[f"/{number}.tar"] = lambda request, slowly=slowly: serve_bytes(request, slowly, rate=400_000)
    done = run(archive, tmp_path, *DIDS, "--to", "out", "--parallel", "3")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", *range(6))
    assert archive.most_at_once in (3, 4)  # the server notices a moment later that one is done


def test_who_interrupts_it_goes_on_another_time(archive: Archive, tmp_path: Path) -> None:
    archive.answers["/0.tar"] = lambda request: serve_bytes(request, CONTENTS[DIDS[0]], rate=60_000)
    command = [CATALOG, "get", "--service", f"{archive.url}/links", "--to", tmp_path / "out", DIDS[0]]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not [path for path in tmp_path.glob("out/*.part") if path.stat().st_size > 40_000]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = run(archive, tmp_path, DIDS[0], "--to", "out")
    assert second.returncode == 1
    assert "another download" in second.stderr.decode()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    archive.put("/0.tar", CONTENTS[DIDS[0]])
    done = run(archive, tmp_path, DIDS[0], "--to", "out")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "out", 0)
    assert int(archive.requests("/0.tar")[-1]["Range"][6:-1]) >= 40_000


def test_capabilities_lead_to_the_links(archive: Archive, tmp_path: Path) -> None:
    document = (
        '<c><capability standardID="ivo://ivoa.net/std/DataLink#links-1.1"><interface>'
        f"<accessURL>{archive.url}/links</accessURL></interface></capability></c>"
    )
    for path in ("/one/tap/capabilities", "/two/capabilities"):
        archive.put(path, document.encode())
    for number, base in enumerate(("one", "two/")):
        words = [CATALOG, "get", "--service", f"{archive.url}/{base}", "--to", tmp_path / "out", DIDS[number]]
        done = subprocess.run(words, env=environment(), capture_output=True, cwd=tmp_path, timeout=120)
        assert done.returncode == 0, done.stderr
    check(tmp_path / "out", 0, 1)
