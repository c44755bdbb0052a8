"""curl at the edges of the protocol: large multipart bodies, redirects, resumed downloads, HTTP/1.0."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.conformance

Curl = Callable[..., str]

ROWS = "SELECT TOP 20 obs_publisher_did, s_ra, t_min FROM ivoa.obscore ORDER BY obs_publisher_did"
SUM = "SELECT COUNT(*) AS n, SUM(x) AS s FROM TAP_UPLOAD.mine"
LINES = 200_000


@pytest.fixture(scope="session")
def curl(find_program: Callable[[str], str]) -> Curl:
    """Runs curl, which must not fail, and gives what it wrote."""
    program = find_program("curl")

    def run(*arguments: str) -> str:
        done = subprocess.run([program, "-sS", *arguments], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()  # line ends as they came

    return run


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of more than a megabyte: curl asks whether it may send the body (Expect: 100-continue)."""
    path = tmp_path_factory.mktemp("upload") / "mine.csv"
    path.write_text("x\n" + "".join(f"{number}.5\n" for number in range(LINES)))
    assert path.stat().st_size > 2**20
    return path


@pytest.fixture(scope="session")
def result_url(tap_url: str, curl: Curl) -> str:
    """The result of a job that has been done."""
    fields = ["-d", "LANG=ADQL", "-d", "RESPONSEFORMAT=csv", "-d", "PHASE=RUN", "--data-urlencode", f"QUERY={ROWS}"]
    job = curl(*fields, "-o", "/dev/null", "-w", "%{redirect_url}", f"{tap_url}/async")
    phase = ""
    while phase in ("", "QUEUED", "EXECUTING"):
        curl("-o", "/dev/null", f"{job}?WAIT=20")
        phase = curl(f"{job}/phase")
    assert phase == "COMPLETED"
    return f"{job}/results/result"


def form(query: str, file: Path) -> list[str]:
    fields = ["LANG=ADQL", f"QUERY={query}", "RESPONSEFORMAT=csv", "UPLOAD=mine,param:it", f"it=@{file};type=text/csv"]
    return [part for field in fields for part in ("-F", field)]


def test_a_large_body_is_asked_for_and_read(tap_url: str, curl: Curl, large: Path) -> None:
    done = curl("-v", "--stderr", "-", *form(SUM, large), f"{tap_url}/sync")
    assert "> Expect: 100-continue" in done
    assert "< HTTP/1.1 100 Continue" in done
    [(rows, total)] = re.findall(r"^([0-9]+),([0-9.e+]+)\r$", done, re.MULTILINE)
    assert (int(rows), float(total)) == (LINES, sum(range(LINES)) + LINES / 2)


def test_a_job_is_made_with_a_file_run_and_followed(tap_url: str, curl: Curl, large: Path) -> None:
    """A redirect of a POST is followed by GET (303), and leads to the document of the job."""
    written = "\n%{http_code} %{num_redirects} %{content_type} %{url_effective}"
    done = curl("-L", "-w", written, *form(SUM, large), "-F", "PHASE=RUN", f"{tap_url}/async")
    document, _, facts = done.rpartition("\n")
    code, redirects, content_type, job = facts.split(" ")
    assert (code, redirects, content_type) == ("200", "1", "application/xml")
    assert "<uws:phase>" in document
    while curl(f"{job}/phase") in ("QUEUED", "EXECUTING"):
        curl("-o", "/dev/null", f"{job}?WAIT=20")
    assert curl(f"{job}/results/result").splitlines()[1].startswith(f"{LINES},")
    assert curl("-L", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}", job) in ("200", "405")
    assert curl("-o", "/dev/null", "-w", "%{http_code}", job) == "404"


@pytest.mark.parametrize("kept", [0, 1, 700])
def test_a_broken_download_is_resumed_and_whole(result_url: str, curl: Curl, tmp_path: Path, kept: int) -> None:
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    headers = curl("-D", "-", "-o", str(whole), result_url).lower()
    part.write_bytes(whole.read_bytes()[:kept])
    assert curl("-C", "-", "-o", str(part), "-w", "%{http_code}", result_url) == ("206" if kept else "200")
    assert part.read_bytes() == whole.read_bytes()
    digest = base64.b64encode(hashlib.sha256(part.read_bytes()).digest()).decode().lower()
    assert f"repr-digest: sha-256=:{digest}:" in headers
    assert f"content-length: {part.stat().st_size}\r\n" in headers


def test_head_says_how_long_a_result_is(result_url: str, curl: Curl) -> None:
    headers = curl("-I", result_url).lower()
    assert headers.startswith("http/1.1 200")
    assert f"content-length: {len(curl(result_url).encode())}\r\n" in headers
    assert "accept-ranges: bytes" in headers


def test_what_has_not_changed_is_not_sent_again(result_url: str, curl: Curl, tmp_path: Path) -> None:
    tag, path = tmp_path / "tag", tmp_path / "result"
    get = ["--etag-save", str(tag), "--etag-compare", str(tag), "-o", str(path), "-w", "%{http_code}", result_url]
    assert [curl(*get), curl(*get)] == ["200", "304"]


def test_a_client_of_http_1_0_gets_the_same(tap_url: str, curl: Curl) -> None:
    query = ["-G", "--data-urlencode", f"QUERY={ROWS}", "-d", "RESPONSEFORMAT=csv", f"{tap_url}/sync"]
    assert curl("-0", *query) == curl(*query)
    assert "transfer-encoding" not in curl("-0", "-D", "-", *query).lower()


def test_what_a_client_can_unpack_is_the_same(tap_url: str, curl: Curl) -> None:
    query = ["-G", "--data-urlencode", f"QUERY={ROWS}", "-d", "RESPONSEFORMAT=csv", f"{tap_url}/sync"]
    assert curl("--compressed", *query) == curl(*query)


def test_putting_a_file_runs_nothing(tap_url: str, curl: Curl, large: Path) -> None:
    query = f"{tap_url}/sync?LANG=ADQL&QUERY=SELECT+TOP+1+obs_id+FROM+ivoa.obscore"
    done = curl("-T", str(large), "-w", "\n%{http_code}", query)
    assert done.endswith("\n405")
    assert "<TABLE" not in done
