"""All user-defined functions, and what the engines must be given for them."""

from __future__ import annotations

from catalog.adql.installed import InstalledFunction, SQLiteFunction
from catalog.adql.signatures import Function
from catalog.adql.udf import aggregates, epoch, frames, healpix, intervals, moc, motion, text, times, units

__all__ = ["UDF_FUNCTIONS", "UDF_POSTGRESQL", "UDF_SQLITE"]

UDF_FUNCTIONS: tuple[Function, ...] = (
    *healpix.FUNCTIONS,
    *moc.FUNCTIONS,
    *epoch.FUNCTIONS,
    *motion.FUNCTIONS,
    *frames.FUNCTIONS,
    *times.FUNCTIONS,
    *text.FUNCTIONS,
    *aggregates.FUNCTIONS,
    *intervals.FUNCTIONS,
    *units.FUNCTIONS,
)
"""As queries call them."""

UDF_SQLITE: tuple[SQLiteFunction, ...] = (
    *healpix.SQLITE,
    *moc.SQLITE,
    *epoch.SQLITE,
    *motion.SQLITE,
    *frames.SQLITE,
    *times.SQLITE,
    *text.SQLITE,
    *aggregates.SQLITE,
    *intervals.SQLITE,
)
"""To be registered on every connection."""

UDF_POSTGRESQL: tuple[InstalledFunction, ...] = (
    *healpix.POSTGRESQL,
    *epoch.POSTGRESQL,
    *motion.POSTGRESQL,
    *frames.POSTGRESQL,
    *text.POSTGRESQL,
    *aggregates.POSTGRESQL,
)
"""To be installed, in this order."""
