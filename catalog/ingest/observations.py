"""A tree of FITS files as records: one package per observation and module.

Files that state the same observation (OBS_ID or OBSID), telescope and instrument belong together; a file that states
none is an observation of its own. What the headers do not name is called ``unknown``, a module without a name
``main``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from catalog.errors import UsageError
from catalog.ingest.fits import FitsDescription, describe_fits
from catalog.ingest.fits.description import join_bands
from catalog.ingest.fits.sky import join_places
from catalog.ingest.fits.times import Exposure, join_exposures
from catalog.ingest.records import PackageRecord
from catalog.ingest.report import Problem, Report
from catalog.ingest.tar import Tar, digest_file, pack_tar, write_tar
from catalog.ingest.tree import Found, Linked, Refused, walk_tree
from catalog.opsdb.identity import build_execution_id, build_package_id
from catalog.vo.position import KNOWN_BODIES
from catalog.vo.region import format_region

__all__ = ["FitsTree", "Prepared"]

_UNKNOWN = "unknown"
_MODULE = "main"
_FITS = "application/fits"


@dataclass(frozen=True, slots=True)
class _Key:
    """What the files of one observation have in common."""

    telescope: str
    instrument: str
    observation: str


@dataclass(frozen=True, slots=True)
class _File:
    found: Found
    description: FitsDescription


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record made of files, and the tar that goes with it."""

    record: PackageRecord
    origin: str
    """Path of the first file."""

    notes: tuple[Problem, ...] = ()
    unfinished: Path | None = None
    """The new tar under its temporary name; None when it is there already, or none is wanted."""

    tar: Path | None = None

    def keep(self) -> None:
        """The record went in: give the tar its name."""
        if self.unfinished is not None and self.tar is not None:
            self.unfinished.replace(self.tar)

    def discard(self) -> None:
        """The record did not go in: remove the new tar."""
        if self.unfinished is not None:
            with suppress(FileNotFoundError):
                self.unfinished.unlink()


@dataclass(frozen=True, slots=True)
class FitsTree:
    """A tree, and how its packages are to be recorded."""

    root: Path
    """A directory, or one FITS file."""

    report: Report
    program: Mapping[str, str]
    """``short_name`` and, if the programme is to be created, ``name``."""

    location: Mapping[str, str]
    """Where the files lie: ``site``, ``name`` and what is needed to create it."""

    tar_location: Mapping[str, str] | None = None
    tar_dir: Path | None = None
    on_file: Callable[[], None] = lambda: None
    """Called for each FITS file, good or bad."""

    def packages(self) -> Iterator[Prepared]:
        """Every package, and bad files to the report. Files without an observation id come first, in walk order."""
        together: dict[_Key, list[Found]] = {}
        for found in self._walk():
            description = self._describe(found)
            if description is None:
                continue
            key = _key(found, description)
            if description.observation is None:
                yield from self._observation(key, [_File(found, description)])
            else:
                together.setdefault(key, []).append(found)
        for key, members in together.items():
            described = ((found, self._describe(found, again=True)) for found in members)
            yield from self._observation(key, [_File(found, d) for found, d in described if d is not None])

    def _walk(self) -> Iterator[Found]:
        for item in walk_tree(self.root):
            if isinstance(item, Found):
                yield item
            elif isinstance(item, Refused):
                self.report.refuse(Problem(item.path, None, None, item.reason))
            elif isinstance(item, Linked):
                self.report.note(Problem(item.path, None, None, f"a link to {item.target}, which is read itself"))
            else:
                self.report.skipped += 1

    def _describe(self, found: Found, *, again: bool = False) -> FitsDescription | None:
        try:
            return describe_fits(found.path)
        except UsageError as error:
            self.report.refuse(Problem(str(found.path), None, None, error.message))
            return None
        finally:
            if not again:
                self.on_file()

    def _observation(self, key: _Key, files: Sequence[_File]) -> Iterator[Prepared]:
        modules: dict[str, list[_File]] = {}
        for file in files:
            modules.setdefault(file.description.module or _MODULE, []).append(file)
        span = join_exposures(file.description.exposure for file in files)
        for module in sorted(modules):
            members = sorted(modules[module], key=lambda file: os.fsencode(file.found.relative_path))
            origin = str(members[0].found.path)
            try:
                yield self._package(key, module, members, span)
            except ValidationError as error:
                detail = error.errors(include_url=False)[0]
                place = ".".join(str(part) for part in detail["loc"])
                self.report.refuse(Problem(origin, None, place or None, str(detail["msg"])))
            except UsageError as error:
                self.report.refuse(Problem(origin, None, None, error.message))

    def _package(self, key: _Key, module: str, files: Sequence[_File], span: Exposure) -> Prepared:
        execution = build_execution_id(key.telescope, key.instrument, key.observation)
        identifier = build_package_id(execution, key.instrument, module, 0)
        path = _tar_path(key, module, identifier)
        members = {file.found.relative_path: file.found.path for file in files}
        target = None if self.tar_dir is None else self.tar_dir / path
        tar, unfinished = self._tar(members, target)
        verified = {"verification": "ok", "verified_at": datetime.now(UTC), "checksum": tar.digest.sha256}
        record = PackageRecord.model_validate(
            {
                "instrument": key.instrument,
                "module": module,
                "telescope": key.telescope,
                "relative_path": path,
                "content_format": _FITS,
                "size_bytes": tar.digest.size_bytes,
                "checksum": tar.digest.sha256,
                "executed_obs_unit": _execution(execution, self.program, _object(files), span),
                "files": [self._file(file, tar) for file in files],
                "copies": [] if self.tar_location is None else [{"location": self.tar_location, **verified}],
                "metadata": _metadata(files),
            }
        )
        notes = tuple(Problem(str(file.found.path), None, None, n) for file in files for n in file.description.notes)
        return Prepared(record, str(files[0].found.path), notes, unfinished, target)

    def _tar(self, members: Mapping[str, Path], target: Path | None) -> tuple[Tar, Path | None]:
        """The tar, and where it lies until its record is in; an existing one must have the same bytes."""
        if target is None or self.report.dry_run:
            return pack_tar(members), None
        if not target.exists():
            unfinished = target.with_name(f".{target.name}.new")
            return write_tar(members, unfinished), unfinished
        tar = pack_tar(members)
        if digest_file(target) != tar.digest:
            raise UsageError(f"{target} exists with other bytes; it is not overwritten")
        return tar, None

    def _file(self, file: _File, tar: Tar) -> dict[str, Any]:
        digest = tar.members[file.found.relative_path]
        description = file.description
        copy = {
            "location": self.location,
            "verification": "ok",
            "verified_at": datetime.now(UTC),
            "checksum": digest.sha256,
        }
        return {
            "relative_path": file.found.relative_path,
            "size_bytes": digest.size_bytes,
            "checksum": digest.sha256,
            "tar_offset": tar.offsets[file.found.relative_path],
            "file_type": _FITS,
            "start_time": description.start_time,
            "end_time": description.end_time,
            "exptime_s": description.exposure.exptime_s,
            "copies": [copy],
        }


def _key(found: Found, description: FitsDescription) -> _Key:
    telescope = description.telescope or _UNKNOWN
    instrument = description.instrument or telescope
    return _Key(telescope, instrument, description.observation or f"file:{found.relative_path}")


def _object(files: Sequence[_File]) -> str | None:
    """What all files name as their object."""
    names = {file.description.object for file in files}
    return names.pop() if len(names) == 1 else None


def _execution(identifier: UUID, program: Mapping[str, str], target: str | None, span: Exposure) -> dict[str, Any]:
    """The execution, with its times only when both are known: an execution without an end would count as running."""
    unit: dict[str, Any] = {"name": f"{program['short_name']}: {target or 'no object'}", "program": dict(program)}
    if target is not None:
        unit["source"] = _source(target)
    is_whole = span.start_time is not None and span.end_time is not None
    times = {"start_time": span.start_time, "end_time": span.end_time} if is_whole else {}
    return {"id": identifier, "obs_unit": unit, **times}


def _source(name: str) -> dict[str, str]:
    """A body of the Solar System by its name; anything else has its position in the package's metadata."""
    if name.lower() in {body.lower() for body in KNOWN_BODIES}:
        return {"name": name, "type": "solar_system_object", "body": name.lower()}
    return {"name": name, "type": "source"}


def _metadata(files: Sequence[_File]) -> dict[str, Any]:
    """Overrides that the headers give the package."""
    descriptions = [file.description for file in files]
    values: dict[str, Any] = {
        "facility_name": _common([d.telescope for d in descriptions]),
        "dataproduct_type": _common([d.dataproduct_type for d in descriptions]),
        "t_exptime": join_exposures(d.exposure for d in descriptions).exptime_s,
    }
    place = join_places([d.place for d in descriptions if d.place is not None])
    if place is not None:
        values |= {"s_ra": place.ra, "s_dec": place.dec, "s_pixel_scale": place.pixel_scale_arcsec}
        if place.region is not None:
            values |= {"s_region": format_region(place.region), "s_fov": place.fov}
    band = join_bands(d.band for d in descriptions if d.band is not None)
    if band is not None:
        values |= {"em_min": band.em_min, "em_max": band.em_max}
    axes = [d.axes for d in descriptions]
    if len({(a.s_xel, a.em_xel, a.t_xel, a.pol_states, a.pol_xel) for a in axes}) == 1:
        first = axes[0]
        s_xel = first.s_xel or (None, None)
        values |= {"s_xel1": s_xel[0], "s_xel2": s_xel[1], "em_xel": first.em_xel, "t_xel": first.t_xel}
        values |= {"pol_states": first.pol_states, "pol_xel": first.pol_xel}
    observation = {"filter": _common([d.filter for d in descriptions])}
    observation["observer"] = _common([d.observer for d in descriptions])
    stated = {name: word for name, word in observation.items() if word is not None}
    if stated:
        values["document"] = {"observation": stated}
    return {name: value for name, value in values.items() if value is not None}


def _common(words: Sequence[str | None]) -> str | None:
    distinct = set(words)
    return distinct.pop() if len(distinct) == 1 else None


def _tar_path(key: _Key, module: str, identifier: UUID) -> str:
    """Path of a package below its location: words to read, and the identity, so that no two are alike."""
    stem = key.observation.removeprefix("file:").rpartition("/")[2]
    return "/".join((_slug(key.instrument), _slug(module), f"{_slug(stem)}_{identifier.hex[:12]}.tar"))


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-+") else "_" for c in text)[:80] or "_"
