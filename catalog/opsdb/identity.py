"""Identities of files, packages and executions that come without one: uuid5 of what they are.

The names that are hashed are JSON arrays, so that no two of them can run into one another. Changing the namespace or
a form changes every identifier that was ever published: both are fixed for good.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID, uuid5

__all__ = [
    "NAMESPACE",
    "build_bundle_id",
    "build_execution_id",
    "build_file_id",
    "build_package_id",
    "build_package_path",
]

NAMESPACE = UUID("6f0d5c1e-54a5-5a0e-9d6b-0c6c9b7f2a11")
"""Namespace of all identities made here."""


def build_file_id(instrument: str, module: str, relative_path: str) -> UUID:
    """Identity of a file: its module and the path inside its package."""
    return _identity("file", instrument, module, relative_path)


def build_package_id(executed_obs_unit_id: UUID, instrument: str, module: str, sequence: int) -> UUID:
    """Identity of a package: execution, module and sequence."""
    return _identity("package", str(executed_obs_unit_id), instrument, module, sequence)


def build_package_path(executed_obs_unit_id: UUID, instrument: str, module: str, sequence: int) -> str:
    """Where a package lies below the root of a location, unless somebody says otherwise."""
    return posixpath.join(_slug(instrument), _slug(module), f"{executed_obs_unit_id}_{sequence}.tar")


def build_bundle_id(origin: str, journey: int, packages: Iterable[UUID]) -> UUID:
    """Identity of a transfer package: where it begins, how often the first of its packages has travelled, and all."""
    return _identity("bundle", origin, journey, *map(str, packages))


def build_execution_id(telescope: str, instrument: str, observation: str) -> UUID:
    """Identity of an execution that is known by the observation id in FITS headers, or by the path of its one file."""
    return _identity("execution", telescope, instrument, observation)


def _identity(*parts: str | int) -> UUID:
    return uuid5(NAMESPACE, json.dumps(parts, ensure_ascii=True, separators=(",", ":")))


@lru_cache(1_000)
def _slug(text: str) -> str:
    """A word fit for a part of a path."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_+") else "_" for c in text)[:80] or "_"
