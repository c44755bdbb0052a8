"""``catalog get`` against the service itself: the best copy, what may be fetched, and the death of a copy midway."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from download import archives

CATALOG = Path(sys.executable).with_name("catalog")
DISK, SECOND, S3 = "cologne/archive", "ccat/buffer", "cornell/objects"


@pytest.fixture(scope="module")
def held(engine: str, make_stored: Callable[[str], Any]) -> Any:
    return make_stored(engine)


@pytest.fixture(scope="module")
def service(held: Any, start: Callable[..., Any]) -> Iterator[Any]:
    with start(held.database_url, **held.environment()) as running:
        yield running


def command(service: Any, folder: Path, *words: str) -> list[str]:
    return [str(CATALOG), "get", "--service", service.url, "--to", str(folder), *words]


def environment(token: str | None = None) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CATALOG_")}
    return environ if token is None else environ | {"CATALOG_TOKEN": token}


def get(service: Any, folder: Path, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(service, folder, *words),
        env=environment(token),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_packages_come_from_disks_and_object_stores(service: Any, held: Any, tmp_path: Path) -> None:
    names = ("open", "objects")
    done = get(service, tmp_path / "out", "--json", *map(held.did, names))
    assert done.returncode == 0, done.stderr
    told = {each["did"]: each for each in json.loads(done.stdout)["downloads"]}
    for name in names:
        assert (tmp_path / f"out/{name}.tar").read_bytes() == held.content(name)
        assert told[held.did(name)]["verified"] == "sha256"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["objects.tar", "open.tar"]


def test_who_may_gets_it_and_others_are_told(service: Any, held: Any, tmp_path: Path) -> None:
    anonymous = get(service, tmp_path / "a", held.did("secret"))
    assert (anonymous.returncode, anonymous.stdout) == (2, "")
    assert "--token-file" in anonymous.stderr
    stranger = get(service, tmp_path / "b", held.did("secret"), token=held.tokens["bob"])
    assert (stranger.returncode, stranger.stdout) == (2, "")
    wrong = get(service, tmp_path / "c", held.did("open"), token="0" * 64)
    assert wrong.returncode == 2
    assert "401" in wrong.stderr
    member = get(service, tmp_path / "d", held.did("secret"), token=held.tokens["alice"])
    assert member.returncode == 0, member.stderr
    assert (tmp_path / "d/secret.tar").read_bytes() == held.content("secret")
    for done in (stranger, wrong, member):
        assert not [token for token in (*held.tokens.values(), "0" * 64) if token in done.stdout + done.stderr]


@pytest.mark.parametrize(("name", "code"), [("tape", 3), ("lost", 2), ("nobody's", 2)])
def test_what_cannot_be_had_now_says_why(service: Any, held: Any, tmp_path: Path, name: str, code: int) -> None:
    did = held.did(name) if name != "nobody's" else "ivo://ccat.example/raw?11111111-2222-4333-8444-555555555555"
    done = get(service, tmp_path / "out", did)
    assert done.returncode == code, done.stderr
    assert did in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_package_whose_copy_was_changed_comes_from_another(
    engine: str, make_stored: Callable[[str], Any], start: Callable[..., Any], tmp_path: Path
) -> None:
    own = make_stored(engine)
    path = own.tar("open", DISK)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with start(own.database_url, **own.environment()) as changed:
        done = get(changed, tmp_path / "out", own.did("open"))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/open.tar").read_bytes() == own.content("open")


def test_a_download_survives_the_death_of_its_copy_midway(
    engine: str, make_stored: Callable[[str], Any], start: Callable[..., Any], tmp_path: Path
) -> None:
    """The best copy is at another server, which is killed; the service goes on from its disk."""
    own = make_stored(engine)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    size = len(own.content("open"))
    words = [sys.executable, archives.__file__, str(port), str(own.tar("open", DISK).parent), str(size // 4)]
    server = subprocess.Popen(words)
    locations = own.files["locations"] | {DISK: {"url": f"http://127.0.0.1:{port}/raw"}}
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/open.tar"))
        with start(own.database_url, **own.environment() | {"files_locations": json.dumps(locations)}) as service:
            process = subprocess.Popen(
                command(service, tmp_path / "out", own.did("open"), "--json"),
                env=environment(),
                stdout=subprocess.PIPE,
                cwd=tmp_path,
            )
            wait_for(lambda: any(part.stat().st_size > size // 4 for part in tmp_path.glob("out/*.part")))
            server.send_signal(signal.SIGKILL)
            server.wait()
            told = json.loads(process.communicate(timeout=120)[0])
            log = service.log.read_text()
    finally:
        server.kill()
        server.wait()
    assert process.returncode == 0
    assert told["downloads"][0]["verified"] == "sha256"
    assert (tmp_path / "out/open.tar").read_bytes() == own.content("open")
    assert "Traceback" not in log


def answers(url: str) -> bool:
    try:
        return httpx.head(url).is_success
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
