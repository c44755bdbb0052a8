"""What the work of a job may use while it goes on, and how it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from threading import Lock, Thread

from catalog.errors import ResourceLimitError
from catalog.uws.job import Claim, Job, Progress
from catalog.uws.results import FileWriter

__all__ = ["Cause", "Control", "Output", "Work"]


class Cause(Enum):
    """Why a job shall stop."""

    LOST = "it was aborted, deleted or given to another"
    LATE = "it takes longer than it may"
    STOPPING = "the process stops"


@dataclass(frozen=True, slots=True)
class Output:
    """What the work says of the result that it has written."""

    content_type: str
    rows: int | None = None
    truncated: bool = False


class Control:
    """One attempt at a job, as the work sees it.

    Args:
        claim: The right to do the job.
        writer: The file of the result.
        bytes_left: Size of the result at most; None for any.
    """

    def __init__(self, claim: Claim, writer: FileWriter, *, bytes_left: int | None) -> None:
        self.claim = claim
        self.cause: Cause | None = None
        """Why the work shall stop; None while it shall go on."""
        self.done = Progress(0)
        """How far the work is."""
        self._writer = writer
        self._bytes_left = bytes_left
        self._lock = Lock()
        self._stops: list[Callable[[], None]] = []
        self._deadline = time.monotonic() + claim.job.execution_duration

    @property
    def cancelled(self) -> bool:
        """Whether the work shall stop; what it has written is thrown away."""
        return self.cause is not None

    @property
    def is_late(self) -> bool:
        """Whether the execution duration is over."""
        return time.monotonic() >= self._deadline

    @property
    def seconds_left(self) -> float:
        """What is left of the execution duration; never quite nothing."""
        return max(0.001, self._deadline - time.monotonic())

    def write(self, data: bytes) -> None:
        """Append to the result.

        Raises:
            ResourceLimitError: The results of this caller would take more than they may.
            UnavailableError: The store of results does not take it.
        """
        if self._bytes_left is not None and self._writer.size + len(data) > self._bytes_left:
            raise ResourceLimitError(
                f"the result takes more than the {self._bytes_left:,} bytes that are left to your jobs",
                hint="Delete jobs whose results are not needed any more, or ask for less.",
            )
        self._writer.write(data)

    def progress(self, rows: int, *, rows_expected: int | None = None) -> None:
        """Say how many rows there are; what is expected stays when it is not said again."""
        self.done = Progress(rows, self.done.rows_expected if rows_expected is None else rows_expected)

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Have ``stop`` called, in another thread, when the work shall stop; it ends what the work waits for."""
        with self._lock:
            self._stops.append(stop)
            is_late_for_it = self.cancelled
        if is_late_for_it:
            stop()

    def cancel(self, cause: Cause) -> None:
        """Make the work stop; threads of their own ask, since what they ask may take its time to obey."""
        with self._lock:
            if self.cancelled:
                return
            self.cause = cause
            stops = list(self._stops)
        for stop in stops:
            Thread(target=stop, name="uws-cancel", daemon=True).start()


Work = Callable[[Job, Control], Output]
"""Does a job and writes its result; what it raises becomes the job's error."""
