"""What an ingest did: counts, what was refused and why, what is worth knowing; ready for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["IngestSummary", "Outcome", "Problem", "Report"]

_SHOWN = 10_000

Outcome = Literal["created", "completed", "unchanged", "parked", "refused"]
"""What became of a record: ``completed`` adds something to a package that was known, such as a copy or its checksum."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record or a file was refused; also used for notes on records that went in."""

    file: str
    line: int | None
    """Line or row in a manifest, counted from 1; None for a FITS file."""

    field: str | None
    """Field of the record, dotted (``files.0.checksum``), or keyword; None when the whole is meant."""

    reason: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.field}: {self.reason}" if self.field else f"{where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """The outcome of one ingest."""

    files: int
    """Files recorded anew."""

    records: int
    """Records read: lines of manifests, packages of FITS trees."""

    created: int
    """Packages recorded anew, those included that had been parked; likewise the next two."""

    completed: int
    """Packages to which something was added."""

    unchanged: int
    parked: int
    """Records of this run that lacked a parent when they were read."""

    unparked: int
    """Records, of this run or an earlier one, that had waited and went in."""

    waiting: int
    """Records that wait now, from whatever run."""

    refused: int
    """Bad lines, bad files and records that contradict what is known."""

    skipped: int
    """Files of a tree that are not FITS files by their name."""

    dry_run: bool
    problems: tuple[Problem, ...]
    """One or more per refusal, in order; the first ten thousand."""

    notes: tuple[Problem, ...]
    """What was left out or differs, of records that went in; the first ten thousand."""

    @property
    def ok(self) -> bool:
        """Whether nothing was refused; decides the exit code."""
        return self.refused == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {**asdict(self), "ok": self.ok}


@dataclass(slots=True)
class Report:
    """Gathers the summary while an ingest runs."""

    dry_run: bool = False
    files: int = 0
    records: int = 0
    unparked: int = 0
    waiting: int = 0
    skipped: int = 0
    outcomes: dict[Outcome, int] = field(
        default_factory=lambda: {"created": 0, "completed": 0, "unchanged": 0, "parked": 0, "refused": 0}
    )
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def refuse(self, *problems: Problem) -> None:
        """Count one refusal with its reasons."""
        self.outcomes["refused"] += 1
        self.problems += problems[: max(0, _SHOWN - len(self.problems))]

    def note(self, *notes: Problem) -> None:
        """Keep remarks on something that went in."""
        self.notes += notes[: max(0, _SHOWN - len(self.notes))]

    def summary(self) -> IngestSummary:
        """What has been gathered."""
        return IngestSummary(
            files=self.files,
            records=self.records,
            created=self.outcomes["created"],
            completed=self.outcomes["completed"],
            unchanged=self.outcomes["unchanged"],
            parked=self.outcomes["parked"],
            unparked=self.unparked,
            waiting=self.waiting,
            refused=self.outcomes["refused"],
            skipped=self.skipped,
            dry_run=self.dry_run,
            problems=tuple(self.problems),
            notes=tuple(self.notes),
        )
