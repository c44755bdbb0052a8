"""Physical copies of packages and files, as their fates have it, and the records of archiving."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.columns import ColumnBatch, or_null
from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.fates import AT_SOURCE, MAX_COPIES
from catalog.ingest.synthetic.files import file_checksums, file_ids
from catalog.ingest.synthetic.fixed import table
from catalog.ingest.synthetic.frame import Frame, World
from catalog.ingest.synthetic.timeline import Moments, seconds
from catalog.opsdb.enums import ChecksumAlgorithm, PhysicalCopyStatus, Status, Verification

__all__ = [
    "TRANSFER_COPIES",
    "build_archiving",
    "build_copies",
    "build_file_copies",
    "copy_columns",
    "first_transfer_copy",
]

TRANSFER_COPIES = 4
"""Numbers of copies kept free for each transfer package."""

_HOUR = 3600.0
_DELAY_H = {"ccat-buffer": 2, "cologne-buffer": 48, "us-buffer": 50, "cologne-s3": 60, "us-archive-old": 62}
_DELAY_H |= {"us-archive": 70, "cologne-tape": 84, "cologne-processing": 200}
"""Hours after the making of a package at which a copy appears there; at once where it was made."""

_LOOKED = (Verification.OK, Verification.MISMATCH)
_REMOVED_AFTER_H = 240
_FIRST_LOOK = np.timedelta64(30, "m")
_SECOND_LOOK = np.timedelta64(96, "h")
_ARCHIVE_RECORDS = 8
"""Of so many packages, the record of archiving has been kept for one; of failures always."""


def build_copies(frame: Frame) -> ColumnBatch:
    """Copies of packages. The checksum of a copy is the package's own, unless the comparison found another."""
    world, fates = frame.world, frame.world.fates
    row = np.repeat(np.arange(len(frame)), fates.copies[frame.fate])
    which = _within(fates.copies[frame.fate])
    fate = frame.fate[row]
    verification = fates.verification[fate, which]
    checksum = frame.checksums[row].astype(object)
    wrong = verification == str(Verification.MISMATCH)
    checksum[wrong] = world.draws.digits("wrong checksum", frame.index[row][wrong], 64)
    columns = copy_columns(
        world,
        location=_located(frame, fates.location[fate, which], row),
        status=fates.copy_status[fate, which],
        verification=verification,
        made_at=frame.made_at[row],
        checksum=checksum,
    )
    target = {"id": frame.index[row] * (MAX_COPIES + 1) + which + 1, "raw_data_package_id": frame.ids[row]}
    return _batch("raw_data_package_physical_copy", {**target, **columns})


def build_file_copies(frame: Frame) -> ColumnBatch:
    """Copies of single files: at the instrument until the package is built, and unpacked where it is staged."""
    world, count = frame.world, frame.world.files_per_package
    staged = world.fates.staged[frame.fate]
    some = frame.chosen(~frame.built | staged)
    unpacked = np.repeat(world.fates.staged[some.fate], count)
    row = np.repeat(np.arange(len(some)), count)
    place = np.where(unpacked, world.facts.locations["cologne-processing"], AT_SOURCE)
    checksum, algorithm = file_checksums(some)
    columns = copy_columns(
        world,
        location=_located(some, place, row),
        status=np.full(len(row), str(PhysicalCopyStatus.PRESENT), dtype=object),
        verification=np.where(unpacked, str(Verification.OK), str(Verification.NEVER)),
        made_at=some.made_at[row],
        checksum=checksum,
        algorithm=algorithm,
    )
    number = some.index[row] * count + np.tile(np.arange(count), len(some))
    target = {"id": _first_file_copy(world) + number, "raw_data_file_id": file_ids(some)}
    return _batch("raw_data_file_physical_copy", {**target, **columns})


def build_archiving(frame: Frame) -> ColumnBatch:
    """Records of moves into the long-term archive."""
    world = frame.world
    failed = world.fates.failure[frame.fate] == "archive"
    archived = (world.fates.state[frame.fate] == "archived") & (frame.index % _ARCHIVE_RECORDS == 0)
    some = frame.chosen(failed | archived)
    lost = world.fates.failure[some.fate] == "archive"
    begin = np.minimum(some.made_at + seconds(np.full(len(some), 50 * _HOUR)), world.timeline.end)
    finish = np.minimum(begin + seconds(np.full(len(some), 900.0)), world.timeline.end)
    places = world.facts.locations
    return ColumnBatch(
        table("long_term_archive_transfer"),
        {
            "id": some.index + 1,
            "raw_data_package_id": some.ids,
            "origin_location_id": np.full(len(some), places["cologne-buffer"]),
            "destination_location_id": np.full(len(some), places["cologne-s3"]),
            "status": np.where(lost, str(Status.FAILED), str(Status.COMPLETED)),
            "retry_count": np.where(lost, 3, 0),
            "failure": or_null(lost, "synthetic: the object store refused the upload"),
            "permanent_failure": lost & (some.index % 2 == 0),
            "started_at": begin,
            "finished_at": finish,
            "created_at": begin,
            "updated_at": finish,
        },
    )


def copy_columns(
    world: World,
    *,
    location: Indices,
    status: npt.NDArray[np.object_],
    verification: npt.NDArray[Any],
    made_at: Moments,
    checksum: npt.NDArray[np.object_],
    algorithm: npt.NDArray[np.object_] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """What every copy has: a checksum and a time of verification only where it was looked at, and so on."""
    delay = np.zeros(len(world.facts.locations) + 1)
    for name, hours in _DELAY_H.items():
        delay[world.facts.locations[name]] = hours
    end = world.timeline.end
    created = np.minimum(made_at + seconds(delay[location] * _HOUR), end)
    looked = verification != str(Verification.NEVER)
    seen = np.isin(verification, [str(kind) for kind in _LOOKED])
    deleted = status == str(PhysicalCopyStatus.DELETED)
    never = np.datetime64("NaT", "us")
    lost = looked & ~seen
    found = np.minimum(created + _FIRST_LOOK, end)
    verified_at = np.where(lost, np.minimum(created + _SECOND_LOOK, end), np.where(looked, found, never))
    deleted_at = np.where(deleted, np.minimum(created + np.timedelta64(_REMOVED_AFTER_H, "h"), end), never)
    algorithms = np.full(len(location), str(ChecksumAlgorithm.SHA256), dtype=object) if algorithm is None else algorithm
    return {
        "data_location_id": location,
        "status": status,
        "verification": verification,
        "verified_at": verified_at,
        "last_ok_at": np.where(lost, found, never),
        "checksum": or_null(seen, checksum),
        "checksum_algorithm": or_null(seen, algorithms),
        "deleted_at": deleted_at,
        "created_at": created,
        "updated_at": np.fmax(np.fmax(created, verified_at), deleted_at),
    }


def first_transfer_copy(world: World) -> int:
    """The number of the first copy of a transfer package."""
    return _first_file_copy(world) + world.packages * world.files_per_package


def _first_file_copy(world: World) -> int:
    return world.packages * (MAX_COPIES + 1) + 1


def _batch(kind: str, columns: dict[str, npt.NDArray[Any]]) -> ColumnBatch:
    return ColumnBatch(table("physical_copy"), {"type": np.full(len(columns["id"]), kind, dtype=object), **columns})


def _located(frame: Frame, location: Indices, row: Indices) -> Indices:
    """Locations, with the disk of the module in place of `AT_SOURCE`."""
    recording = frame.world.facts.observatory["recording"]
    disks = frame.by_module({name: frame.world.facts.locations[kind["disk"]] for name, kind in recording.items()})
    return np.where(location == AT_SOURCE, disks[row], location)


def _within(counts: Indices) -> Indices:
    """0, 1, … within each repeated row: [2, 3] gives [0, 1, 0, 1, 2]."""
    first = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(first, counts)
