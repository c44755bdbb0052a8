"""Transfer packages, their transfers and logs, and staging jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.columns import ColumnBatch, or_null
from catalog.ingest.synthetic.copies import TRANSFER_COPIES, copy_columns, first_transfer_copy
from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.fixed import table
from catalog.ingest.synthetic.frame import Frame, World
from catalog.ingest.synthetic.timeline import Moments
from catalog.opsdb.enums import ChecksumAlgorithm, PackageState, PhysicalCopyStatus, Status, Verification

__all__ = ["build_transfers", "packages_per_transfer"]

_TRANSFERRED_AFTER = np.timedelta64(3, "h")
_TAKES = np.timedelta64(20, "h")
_STEPS = 2
"""Moves of each transfer package: to one archive, and from there to the other."""


def packages_per_transfer(world: World) -> int:
    """How many packages in a row one transfer package is made of: a thousand are about 10 TB."""
    return min(1000, max(12, world.packages // 20))


def build_transfers(world: World, group: Indices) -> Iterator[ColumnBatch]:
    """Everything that belongs to transfer packages, by number."""
    size = packages_per_transfer(world)
    frame = Frame(world, np.arange(group[0] * size, min((group[-1] + 1) * size, world.packages)))
    yield from _moves(world, frame.chosen(world.fates.moved[frame.fate]), size)
    yield from _staging(world, frame.chosen(world.fates.staged[frame.fate]), size)


def _moves(world: World, moved: Frame, size: int) -> Iterator[ColumnBatch]:
    of_group = moved.index // size
    group, first = np.unique(of_group, return_index=True)
    if not len(group):
        return
    busy = world.fates.state[moved.fate] == str(PackageState.TRANSFERRING)
    under_way = np.logical_or.reduceat(busy & (moved.index >= world.recent_from), first)
    made = np.minimum(np.maximum.reduceat(moved.made_at, first) + _TRANSFERRED_AFTER, world.timeline.end)
    ids = world.draws.uuids("transfer package", group, made)
    checksums = world.draws.digits("transfer checksum", group, 64)
    names = np.array([f"synthetic_transfer_{number:06d}" for number in group.tolist()], dtype=object)
    yield ColumnBatch(
        table("data_transfer_package"),
        {
            "id": ids,
            "name": names,
            "relative_path": np.array([f"synthetic/transfers/{name}.tar" for name in names], dtype=object),
            "status": np.full(len(group), str(Status.COMPLETED), dtype=object),
            "size_bytes": np.add.reduceat(moved.sizes, first),
            "checksum": checksums,
            "checksum_algorithm": np.full(len(group), str(ChecksumAlgorithm.SHA256), dtype=object),
            "created_at": made,
            "updated_at": made,
        },
    )
    member = np.repeat(ids, np.diff(np.append(first, len(of_group))))
    yield ColumnBatch(
        table("data_transfer_package_member"), {"data_transfer_package_id": member, "raw_data_package_id": moved.ids}
    )
    yield from _transfers(world, group, ids, made, under_way)
    yield _transfer_copies(world, group, ids, made, under_way, checksums)


def _transfers(
    world: World, group: Indices, ids: npt.NDArray[Any], made: Moments, under_way: npt.NDArray[np.bool_]
) -> Iterator[ColumnBatch]:
    """Both moves of each transfer package, and their logs."""
    step = np.tile(np.arange(_STEPS), len(group))
    turn = np.repeat(group, _STEPS)
    busy = np.repeat(under_way, _STEPS)
    route = np.array(_routes(world))[turn % 2, step]
    waiting = np.array([str(Status.SCHEDULED), str(Status.PENDING)], dtype=object)[turn % 2]
    status = np.where(busy, np.where(step == 0, str(Status.IN_PROGRESS), waiting), str(Status.COMPLETED))
    status = np.where(~busy & (step == 1) & (turn % 7 == 3), str(Status.FAILED), status)
    failed, done = status == str(Status.FAILED), status == str(Status.COMPLETED)
    unpack = np.where(done, np.where(turn % 11 == 5, str(Status.FAILED), str(Status.COMPLETED)), str(Status.PENDING))
    never = np.datetime64("NaT", "us")
    begin = np.minimum(np.repeat(made, _STEPS) + step * (_TAKES + _TRANSFERRED_AFTER), world.timeline.end)
    begun = np.where(np.isin(status, waiting), never, begin)
    finish = np.where(done | failed, np.minimum(begin + _TAKES, world.timeline.end), never)
    number = turn * _STEPS + step + 1
    stamps = {"created_at": np.repeat(made, _STEPS), "updated_at": np.fmax(np.repeat(made, _STEPS), finish)}
    yield ColumnBatch(
        table("data_transfer"),
        {
            "id": number,
            "data_transfer_package_id": np.repeat(ids, _STEPS),
            "data_transfer_route_id": route[:, 0],
            "origin_location_id": route[:, 1],
            "destination_location_id": route[:, 2],
            "status": status,
            "retry_count": np.where(failed, 3, 0),
            "failure": or_null(failed, "synthetic: the connection broke three times"),
            "started_at": begun,
            "finished_at": finish,
            "unpack_status": unpack,
            "unpack_retry_count": np.where(unpack == str(Status.FAILED), 2, 0),
            **stamps,
        },
    )
    logs = np.array([f"/synthetic/logs/transfer_{at:06d}.log" for at in number.tolist()], dtype=object)
    known = {"id": number, "data_transfer_id": number, "log_path": logs, **stamps}
    yield ColumnBatch(table("data_transfer_log"), known).take(~np.isnat(begun))


def _transfer_copies(
    world: World,
    group: Indices,
    ids: npt.NDArray[Any],
    made: Moments,
    under_way: npt.NDArray[np.bool_],
    checksums: npt.NDArray[Any],
) -> ColumnBatch:
    """The tar of a transfer package lies in the buffer at home until it has arrived, and then nowhere."""
    places = world.facts.locations
    landing = np.array(_routes(world))[group % 2, 0][:, 2]
    location = np.concatenate([np.full(len(group), places["ccat-buffer"]), landing])
    busy = np.concatenate([under_way, under_way])
    abroad = np.repeat([False, True], len(group))
    number = np.concatenate([group, group]) * TRANSFER_COPIES + abroad
    columns = copy_columns(
        world,
        location=location,
        status=np.where(busy, str(PhysicalCopyStatus.PRESENT), str(PhysicalCopyStatus.DELETED)),
        verification=np.where(busy, str(Verification.NEVER), str(Verification.OK)),
        made_at=np.concatenate([made, made]),
        checksum=np.concatenate([checksums, checksums]).astype(object),
    )
    kind = np.full(len(location), "data_transfer_package_physical_copy", dtype=object)
    target = {"id": first_transfer_copy(world) + number, "data_transfer_package_id": np.concatenate([ids, ids])}
    return ColumnBatch(table("physical_copy"), {"type": kind, **target, **columns}).take(~(busy & abroad))


def _routes(world: World) -> list[list[tuple[int, int, int]]]:
    """Route, origin and destination of both moves, for even and for odd numbers."""
    known = {route["name"]: route for route in world.facts.observatory["routes"]}
    places, routes = world.facts.locations, world.facts.routes
    turns = [("ccat_to_cologne", "cologne_to_us"), ("ccat_to_us", "us_to_cologne")]
    return [
        [(routes[name], places[known[name]["from"]], places[known[name]["to"]]) for name in names] for names in turns
    ]


def _staging(world: World, staged: Frame, size: int) -> Iterator[ColumnBatch]:
    """One job for all packages of a group that were wanted for processing."""
    of_group = staged.index // size
    group, first = np.unique(of_group, return_index=True)
    if not len(group):
        return
    begin = np.minimum(np.maximum.reduceat(staged.made_at, first) + np.timedelta64(200, "h"), world.timeline.end)
    finish = np.minimum(begin + _TRANSFERRED_AFTER, world.timeline.end)
    yield ColumnBatch(
        table("staging_job"),
        {
            "id": group + 1,
            "origin_location_id": np.full(len(group), world.facts.locations["cologne-s3"]),
            "destination_location_id": np.full(len(group), world.facts.locations["cologne-processing"]),
            "requested_by_user_id": (group % 3 + 2) if world.people else np.full(len(group), None, dtype=object),
            "status": np.full(len(group), str(Status.COMPLETED), dtype=object),
            "retry_count": np.zeros(len(group), dtype=np.int64),
            "started_at": begin,
            "finished_at": finish,
            "created_at": begin,
            "updated_at": finish,
        },
    )
    yield ColumnBatch(table("staging_job_package"), {"staging_job_id": of_group + 1, "raw_data_package_id": staged.ids})
