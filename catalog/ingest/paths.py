"""Ingest files and folders: manifests by their suffix, everything else as FITS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from catalog.db import Database
from catalog.errors import UsageError
from catalog.ingest.load import BLOCK_RECORDS, LoadedBlock, Loader
from catalog.ingest.manifest import MANIFEST_SUFFIXES, count_lines, read_manifest
from catalog.ingest.observations import FitsTree
from catalog.ingest.report import IngestSummary, Report
from catalog.ingest.shares import Lines, Share, Work, run_shares
from catalog.ingest.tree import FITS_SUFFIXES, Found, walk_tree
from catalog.opsdb.models import DataLocation, DiskDataLocation, ObservingProgram, Site

__all__ = ["Progress", "ingest_paths"]

Progress = Callable[[int, int | None], None]
"""Called with how many are done and how many there are, if that is known: files of trees, records of manifests."""

_SITE = "local"
_WORTH = 20_000  # records that are left: a process takes two seconds to begin
_GROWN, _PLAIN = 1_000, 0.9  # records of a block, and how many of them are plainly new, before the rest is shared out


def ingest_paths(
    database: Database,
    paths: Sequence[Path],
    *,
    tar_dir: Path | None = None,
    create_instruments: bool = False,
    dry_run: bool = False,
    program: str = "Ingested",
    location: str | None = None,
    progress: Progress | None = None,
    session_factory: Callable[[], Session] | None = None,
    block_records: int = BLOCK_RECORDS,
    share: Work | None = None,
    jobs: int = 1,
) -> IngestSummary:
    """Record what manifests and FITS files say.

    Of a manifest, what is plainly new is written and committed some thousand records at a time; every other record has
    a savepoint of its own, and some hundreds are committed at a time. Packages of FITS files are committed one by one.
    Repeating an ingest changes nothing.

    Args:
        database: The owner's.
        paths: Manifests (``.jsonl``, ``.ndjson``, ``.csv``, ``.parquet``), FITS files, and directories of FITS files.
        tar_dir: Write the packages of FITS files there as tars. Without it their size and checksum are those that the
            tar would have.
        create_instruments: Create instruments and modules that are not known, instead of refusing their records.
        dry_run: Do everything but keep nothing, and report the same.
        program: Short name of the programme that FITS files are recorded under; created if it is not known.
        location: ``SITE/NAME`` of the disk location of the FITS files; ``local`` and the path of the directory when
            None. Created if it is not known.
        progress: Told how far it is.
        session_factory: Makes the session; ``database.session`` when None.
        block_records: Records of a manifest to a block at most; with 1 each is loaded for itself. What comes of it is
            the same.
        share: Loads a share of a large manifest in a process of its own; none is shared out when None.
        jobs: How many processes that may be at once.

    Raises:
        UsageError: A path does not exist or is nothing that can be ingested; nothing has been done.
        UnavailableError: The database does not answer; what is committed stays.
    """
    checked = [_check(path) for path in paths]
    report = Report(dry_run=dry_run)
    session = (session_factory or database.session)()
    with Loader(session, report, create_instruments=create_instruments, block_records=block_records) as loader:
        run = _Run(
            session,
            loader,
            report,
            program_name=program,
            location=location,
            tar_dir=tar_dir,
            progress=progress,
            share=share if jobs > 1 and not dry_run else None,
            jobs=jobs,
            block_records=block_records,
        )
        try:
            run.ingest(checked)
        finally:
            if dry_run:
                session.rollback()
    return report.summary()


@dataclass(slots=True)
class _Run:
    """One call of `ingest_paths`."""

    session: Session
    loader: Loader
    report: Report
    program_name: str
    location: str | None
    tar_dir: Path | None
    progress: Progress | None
    share: Work | None
    jobs: int
    block_records: int
    done: int = 0
    total: int | None = None

    def ingest(self, paths: Sequence[Path]) -> None:
        if self.progress is not None and not any(_is_manifest(path) for path in paths):
            self.total = sum(_count(path) for path in paths)
        for path in paths:
            if _is_manifest(path):
                self._manifest(path)
            else:
                self._tree(path)
        self.loader.retry_parked()

    def _manifest(self, path: Path) -> None:
        lines = None  # counted when it matters, and once
        for block in self.loader.load_all(read_manifest(path)):
            self._advance(block.records)
            if self.share is None or not _is_plainly_new(block):
                continue
            if lines is None:
                lines = count_lines(path) if path.is_file() else 0  # a pipe can be read once
            if lines - (block.line or 0) >= _WORTH:
                self.loader.commit()
                self._in_shares(self.share, path, (block.line or 0) + 1)
                break
        self.loader.commit()

    def _in_shares(self, share: Work, path: Path, begin: int) -> None:
        """Let processes load what is plainly new from a line on, then load the rest."""
        left = Lines()
        shares = [Share(path, begin, number, self.jobs, self.block_records) for number in range(self.jobs)]
        for block in run_shares(share, shares):
            self.report.records += block.created
            self.report.outcomes["created"] += block.created
            self.report.files += block.files
            self._advance(block.created)
            for line in block.left:
                left.add(line)
        for rest in self.loader.load_all(read_manifest(path, wanted=left.__contains__)):
            self._advance(rest.records)

    def _tree(self, root: Path) -> None:
        folder = (root if root.is_dir() else root.parent).resolve()
        tree = FitsTree(
            root=root,
            report=self.report,
            program=self._program(),
            location=self._disk(folder, self.location or f"{_SITE}/{folder}"),
            tar_location=None if self.tar_dir is None else self._tar_location(self.tar_dir),
            tar_dir=self.tar_dir,
            on_file=self._advance,
        )
        self.loader.commit()  # nobody waits for us while files are read
        for prepared in tree.packages():
            outcome = self.loader.load(prepared.record, prepared.origin)
            if outcome in ("refused", "parked"):
                prepared.discard()
            else:
                prepared.keep()
                self.report.note(*prepared.notes)
            self.loader.commit()

    def _advance(self, count: int = 1) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)

    def _program(self) -> dict[str, str]:
        """A reference to the programme, or what it takes to create it."""
        query = sa.select(ObservingProgram.id).where(ObservingProgram.short_name == self.program_name)
        is_known = self.session.scalar(query) is not None
        return (
            {"short_name": self.program_name}
            if is_known
            else {"short_name": self.program_name, "name": self.program_name}
        )

    def _tar_location(self, folder: Path) -> dict[str, str]:
        site = (self.location or _SITE).partition("/")[0]
        folder = folder.resolve()
        return self._disk(folder, f"{site}/{folder}")

    def _disk(self, folder: Path, name: str) -> dict[str, str]:
        """A reference to a disk location, or what it takes to create it with this folder as its root.

        Raises:
            UsageError: The location is known and lies elsewhere.
        """
        site, _, name = name.partition("/")
        name = name or str(folder)
        query = sa.select(DataLocation).join(Site).where(Site.key == site, DataLocation.name == name)
        known = self.session.scalar(query)
        if known is None:
            values = {"site": site, "name": name, "storage_type": "disk", "location_type": "source"}
            return values | {"path": str(folder), "site_name": site}
        if not isinstance(known, DiskDataLocation) or Path(known.path) != folder:
            where = known.full_path("").rstrip("/")
            raise UsageError(f"the location {site}/{name} is {where}, not {folder}: name another with --location")
        return {"site": site, "name": name}


def _check(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    if path.is_dir() or _is_manifest(path) or path.name.lower().endswith(FITS_SUFFIXES):
        return path
    raise UsageError(
        f"{path} cannot be ingested: expected a folder, a FITS file, or a manifest ({', '.join(MANIFEST_SUFFIXES)})"
    )


def _is_manifest(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() in MANIFEST_SUFFIXES


def _count(root: Path) -> int:
    return sum(isinstance(item, Found) for item in walk_tree(root))


def _is_plainly_new(block: LoadedBlock) -> bool:
    """Whether the rest of its manifest can be expected to be, so that processes of their own pay."""
    return block.line is not None and block.records >= _GROWN and block.plain >= _PLAIN * block.records
