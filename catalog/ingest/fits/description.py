"""One FITS file as a frozen description: what the catalog wants to know of it, from all its headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.ingest.fits.axes import Axes, Band, read_axes, read_band
from catalog.ingest.fits.keywords import Keywords
from catalog.ingest.fits.sky import Place, join_places, read_pixels, read_pointing, read_reference_point
from catalog.ingest.fits.structure import Hdu, read_hdus
from catalog.ingest.fits.times import Exposure, join_exposures, read_exposure

__all__ = ["FitsDescription", "describe_fits"]

_OBSERVATION = ("OBS_ID", "OBSID", "OBSERVID")
_MODULE = ("DETECTOR", "DETNAM", "MODULE", "FRONTEND")


@dataclass(frozen=True, slots=True)
class FitsDescription:
    """What the headers of a file say; everything that they do not say is None.

    Size and checksum are not here: they are found when the bytes are read once, into the tar (`pack_tar`).
    """

    exposure: Exposure
    """UTC, over all HDUs."""

    axes: Axes
    """Of the image with the most pixels."""

    observation: str | None = None
    """OBS_ID or OBSID: files that share it, with telescope and instrument, belong together."""

    telescope: str | None = None
    instrument: str | None = None
    module: str | None = None
    """DETECTOR, DETNAM, MODULE or FRONTEND."""

    object: str | None = None
    observer: str | None = None
    filter: str | None = None
    place: Place | None = None
    """Over all HDUs."""

    band: Band | None = None
    dataproduct_type: str | None = None
    """Word of ObsCore 1.1 table 6."""

    notes: tuple[str, ...] = ()
    """What could not be read and was left out."""

    @property
    def start_time(self) -> datetime | None:
        """Start of the exposure, UTC."""
        return self.exposure.start_time

    @property
    def end_time(self) -> datetime | None:
        """End of the exposure, UTC."""
        return self.exposure.end_time


def describe_fits(path: Path) -> FitsDescription:
    """Read all headers of a file, in constant memory whatever its size.

    Raises:
        UsageError: The file is not FITS, broken or truncated; says where.
    """
    notes: list[str] = []
    gathered = _Gathered()
    for hdu in read_hdus(path):
        gathered.add(hdu, Keywords(hdu.header, f"HDU {hdu.index}", notes))
    if gathered.primary is None:
        notes.append("SIMPLE is F: the file says that it is not standard FITS, so its headers are not read")
    return gathered.describe(tuple(dict.fromkeys(notes)))


class _Gathered:
    """What has been learnt from the HDUs so far."""

    def __init__(self) -> None:
        self.primary: Keywords | None = None
        self._words: dict[str, str] = {}
        self._exposures: list[Exposure] = []
        self._places: dict[str, list[Place]] = {"pixels": [], "pointing": [], "reference": []}
        self._axes: list[tuple[int, Axes]] = []
        self._bands: list[Band] = []
        self._types: set[str] = set()

    def add(self, hdu: Hdu, keywords: Keywords) -> None:
        fallback = self.primary
        self.primary = self.primary or keywords
        for word, names in _WORDS.items():
            value = keywords.text(*names)
            if value is not None and value.strip("-") and value.upper() not in ("UNKNOWN", "NONE", "N/A"):
                self._words.setdefault(word, value)
        self._exposures.append(read_exposure(keywords, fallback))
        axes = read_axes(hdu, keywords)
        cells = 1 if hdu.shape else 0
        for length in hdu.shape:
            cells *= length
        self._axes.append((cells, axes))
        band = axes.band or read_band(keywords)
        if band is not None:
            self._bands.append(band)
        kind = _product_type(hdu, axes, keywords)
        if kind is not None:
            self._types.add(kind)
        self._add_place(hdu, keywords, fallback)

    def _add_place(self, hdu: Hdu, keywords: Keywords, fallback: Keywords | None) -> None:
        for kind, place in (
            ("pixels", read_pixels(hdu, keywords)),
            ("pointing", read_pointing(keywords, fallback)),
            ("reference", read_reference_point(hdu, keywords)),
        ):
            if place is not None:
                self._places[kind].append(place)

    def describe(self, notes: tuple[str, ...]) -> FitsDescription:
        found = self._places
        first = found["pixels"] or found["reference"][:1] or found["pointing"][:1]
        axes = max(self._axes, key=lambda item: item[0], default=(0, Axes()))[1]
        return FitsDescription(
            **self._words,
            exposure=_whole(self._exposures),
            place=join_places(first),
            band=join_bands(self._bands),
            axes=axes,
            dataproduct_type=next(iter(self._types)) if len(self._types) == 1 else None,
            notes=notes,
        )


_WORDS: dict[str, tuple[str, ...]] = {
    "observation": _OBSERVATION,
    "telescope": ("TELESCOP",),
    "instrument": ("INSTRUME",),
    "module": _MODULE,
    "object": ("OBJECT",),
    "observer": ("OBSERVER",),
    "filter": ("FILTER",),
}


def join_bands(bands: Iterable[Band]) -> Band | None:
    """The band that holds all of them; None for none."""
    known = list(bands)
    return Band(min(b.em_min for b in known), max(b.em_max for b in known)) if known else None


def _whole(exposures: list[Exposure]) -> Exposure:
    """The span of all HDUs; an integration that the primary HDU states holds for the file."""
    joined = join_exposures(exposures)
    stated = exposures[0].exptime_s if exposures else None
    return joined if stated is None else Exposure(joined.start_time, joined.end_time, stated)


def _product_type(hdu: Hdu, axes: Axes, keywords: Keywords) -> str | None:
    if hdu.kind == "groups":
        return "visibility" if axes.em_xel is not None or axes.pol_xel is not None else None
    if hdu.kind == "table":
        return "event" if (keywords.text("EXTNAME") or "").upper() in ("EVENTS", "STDEVT") else None
    has_cells = bool(hdu.shape) and min(hdu.shape) > 0
    if not has_cells:
        return None
    many = [length for length in (axes.em_xel, axes.t_xel) if length is not None and length > 1]
    if axes.s_xel is not None and (max(axes.s_xel) > 1 or not many):
        return "cube" if many else "image"
    if axes.em_xel is not None and axes.em_xel > 1:
        return "spectrum"
    return "timeseries" if axes.t_xel is not None and axes.t_xel > 1 else None
