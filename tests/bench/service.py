"""The service under measurement, as ``catalog serve`` runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from postgres import die_with_parent, free_port

__all__ = ["Service", "serve"]

_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs."""

    port: int
    pid: int
    start_s: float
    """Seconds from the command to the first answer."""

    @property
    def workers(self) -> list[int]:
        """Processes that answer."""
        return [pid for pid in _children(self.pid) if b"spawn_main" in _command(pid)] or [self.pid]

    def forget_peaks(self) -> None:
        """Let the peaks of memory begin at what is held now."""
        for pid in self.workers:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """The most that a process held resident since the peaks were forgotten."""
        return max(_status_mb(pid, "VmHWM") for pid in self.workers)

    def held_mb(self) -> float:
        """The most that a process holds resident now."""
        return max(_status_mb(pid, "VmRSS") for pid in self.workers)


@contextmanager
def serve(environment: Mapping[str, str], folder: Path, workers: int) -> Iterator[Service]:
    """Run the service until the block ends."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "catalog", "serve", "--port", str(port), "--workers", str(workers)]
    began = time.perf_counter()
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    try:
        _wait_for(port, process, folder / "service.log")
        yield Service(port, process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS) as probe:
                probe.sendall(b"GET /tap/availability HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if probe.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"the service does not start: {log.read_text()[-2000:]}")


def _children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the kernel does not say {name} of process {pid}")
