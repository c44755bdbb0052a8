"""The files of packages, named as the instruments name theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.columns import ColumnBatch
from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.fixed import table
from catalog.ingest.synthetic.frame import Frame
from catalog.ingest.synthetic.timeline import Moments, seconds
from catalog.opsdb.enums import ChecksumAlgorithm

__all__ = ["build_files", "file_checksums", "file_ids"]

_DIGITS = {"sha256": 64, "sha512": 128, "sha1": 40, "md5": 32, "xxh64": 16, "xxh128": 32, "crc32c": 8, "adler32": 8}
_TYPES = {"g3": "application/x-spt3g", "fits": "application/fits", "csv": "text/csv"}
_MIXED = 89
"""Of so many packages, one each has files with another algorithm than sha256."""

_BOARDS, _DRONES = 25, 4


def build_files(frame: Frame) -> ColumnBatch:
    """Rows of ``raw_data_file``: the files of each package share its time evenly, those of running units have none."""
    world, count = frame.world, frame.world.files_per_package
    number = np.tile(np.arange(count), len(frame))
    start, end = _times(frame, number)
    open_ = np.repeat(frame.running, count)
    names, paths = _names(frame, number, start)
    checksums, algorithms = file_checksums(frame)
    kinds = {name: kind["files"] for name, kind in world.facts.observatory["recording"].items()}
    share = (end - start) / np.timedelta64(1, "s")
    return ColumnBatch(
        table("raw_data_file"),
        {
            "id": file_ids(frame),
            "instrument_module_id": np.repeat(frame.by_module(dict(world.facts.modules)), count),
            "executed_obs_unit_id": np.repeat(frame.units.id, count),
            "raw_data_package_id": np.repeat(frame.ids, count),
            "name": names,
            "relative_path": paths,
            "file_type": np.repeat(frame.by_module({name: _TYPES[kind] for name, kind in kinds.items()}), count),
            "start_time": np.where(open_, np.datetime64("NaT", "us"), start),
            "end_time": np.where(open_, np.datetime64("NaT", "us"), end),
            "exptime_s": np.where(open_, np.nan, np.round(share * 0.95, 3)),
            "size_bytes": frame.file_sizes.ravel(),
            "checksum": checksums,
            "checksum_algorithm": algorithms,
            "created_at": end + seconds(1),
            "updated_at": end + seconds(1),
        },
    )


def file_ids(frame: Frame) -> npt.NDArray[np.str_]:
    """UUIDs of the files of each package in turn."""
    count = frame.world.files_per_package
    number = np.tile(np.arange(count), len(frame))
    return frame.world.draws.uuids("file", np.repeat(frame.index, count) * count + number, _times(frame, number)[1])


def file_checksums(frame: Frame) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Checksum and algorithm of the files of each package in turn; nearly all sha256."""
    world, count = frame.world, frame.world.files_per_package
    address = np.repeat(frame.index, count) * count + np.tile(np.arange(count), len(frame))
    turn = np.repeat((frame.index * 3 + world.draws.shift("algorithm", _MIXED)) % _MIXED, count)
    checksums: npt.NDArray[np.object_] = world.draws.digits("file checksum", address, 64).astype(object)
    algorithms = np.full(len(address), str(ChecksumAlgorithm.SHA256), dtype=object)
    others = [kind for kind in ChecksumAlgorithm if kind is not ChecksumAlgorithm.SHA256]
    for at, kind in enumerate(others):
        chosen = turn == at
        algorithms[chosen] = str(kind)
        checksums[chosen] = world.draws.digits(f"file {kind}", address[chosen], _DIGITS[kind])
    return checksums, algorithms


def _times(frame: Frame, number: Indices) -> tuple[Moments, Moments]:
    count = frame.world.files_per_package
    span = np.repeat((frame.end - frame.start) / np.timedelta64(1, "s"), count)
    begin = np.repeat(frame.start, count)
    return begin + seconds(span * number / max(count, 1)), begin + seconds(span * (number + 1) / max(count, 1))


def _names(frame: Frame, number: Indices, start: Moments) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """``r<board>d<drone>_<ctime>_<seq>.g3`` for Prime-Cam, numbered scans for the others (sequence, then file)."""
    cycle, count = frame.world.cycle, frame.world.files_per_package
    modules = [name.replace("/", "-") for name in cycle.package_module]
    recording = frame.world.facts.observatory["recording"]
    kinds = [recording[name]["files"] for name in cycle.package_module]
    ctimes = start.astype("datetime64[s]").astype(np.int64).tolist()
    place = np.repeat(frame.place, count)
    sequence = (cycle.package_sequence[place] * count + number).tolist()
    scans = np.repeat(frame.unit, count).tolist()
    names, paths = [], []
    columns = (place.tolist(), number.tolist(), sequence, ctimes, scans)
    for at, file, turn, ctime, scan in zip(*columns, strict=True):
        if kinds[at] == "g3":
            board, drone = file % _BOARDS + 1, file // _BOARDS % _DRONES + 1
            name = f"r{board:02d}d{drone}_{ctime:010d}_{turn:03d}.g3"
            folder = f"{ctime // 100_000:05d}/rfsoc{board:02d}drone{drone}"
        else:
            name = f"scan_{scan:06d}_{modules[at]}_{turn:03d}.{kinds[at]}"
            folder = f"{ctime // 100_000:05d}/scan_{scan:06d}"
        names.append(name)
        paths.append(f"synthetic/{modules[at]}/{folder}/{name}")
    return np.array(names, dtype=object), np.array(paths, dtype=object)
