"""Columns that are words about the other columns: the title, and what the axes are counted in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catalog.obscore.batch import Batch, Values
from catalog.opsdb.enums import ModuleKind
from catalog.vo.time import mjd_to_datetime64

__all__ = ["derive_texts"]


def derive_texts(batch: Batch) -> dict[str, Values]:
    """obs_title; UCD, unit and calibration status of the spatial, temporal and spectral axis where they have values."""
    has_position = np.isfinite(batch.floats("s_ra"))
    has_time = np.isfinite(batch.floats("t_min"))
    has_band = np.isfinite(batch.floats("em_min"))
    is_heterodyne = np.array([kind == ModuleKind.HETERODYNE for kind in batch.values("module_kind")], dtype=bool)
    return {
        "obs_title": _titles(batch),
        "s_ucd": _where(has_position, "pos.eq"),
        "s_unit": _where(has_position, "deg"),
        "s_calib_status": _where(has_position, "raw"),
        "t_calib_status": _where(has_time, "raw"),
        "em_ucd": _where(has_band, "em.wl"),
        "em_unit": _where(has_band, "m"),
        "em_calib_status": _where(has_band, "uncalibrated", special=is_heterodyne, special_word="calibrated"),
    }


def _titles(batch: Batch) -> list[object]:
    """``Orion-KL with CHAI/LFA, 2026-04-01, part 2``."""
    days = mjd_to_datetime64(batch.floats("t_min")).astype("datetime64[D]").tolist()
    rows = zip(
        batch.texts("stated_obs_title"),
        batch.texts("target_name"),
        batch.texts("obs_collection"),
        batch.texts("instrument_name"),
        days,
        batch.values("sequence"),
        strict=True,
    )
    return [stated or _title(*facts) for stated, *facts in rows]


def _title(
    target: str | None, collection: str | None, instrument: str | None, day: object | None, sequence: object
) -> str:
    parts = [target or f"{collection} observation"]
    if instrument is not None:
        parts[0] += f" with {instrument}"
    if day is not None:
        parts.append(str(day))
    if isinstance(sequence, int) and sequence > 0:
        parts.append(f"part {sequence + 1}")
    return ", ".join(parts)


def _where(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    word: str,
    *,
    special: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None = None,
    special_word: str = "",
) -> Sequence[object]:
    """A word where the mask holds, None elsewhere."""
    words = np.full(mask.shape, None, dtype=object)
    words[mask] = word
    if special is not None:
        words[mask & special] = special_word
    found: list[object] = words.tolist()
    return found
