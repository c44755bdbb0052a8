"""Identities of files, packages and executions that come without one: uuid5 of what they are.

The names that are hashed are JSON arrays, so that no two of them can run into one another. Changing the namespace or
a form changes every identifier that was ever published: both are fixed for good.
"""

from __future__ import annotations

import json
from uuid import UUID, uuid5

__all__ = ["NAMESPACE", "build_execution_id", "build_file_id", "build_package_id"]

NAMESPACE = UUID("6f0d5c1e-54a5-5a0e-9d6b-0c6c9b7f2a11")
"""Namespace of all identities made here."""


def build_file_id(instrument: str, module: str, relative_path: str) -> UUID:
    """Identity of a file: its module and the path inside its package."""
    return _identity("file", instrument, module, relative_path)


def build_package_id(executed_obs_unit_id: UUID, instrument: str, module: str, sequence: int) -> UUID:
    """Identity of a package: execution, module and sequence."""
    return _identity("package", str(executed_obs_unit_id), instrument, module, sequence)


def build_execution_id(telescope: str, instrument: str, observation: str) -> UUID:
    """Identity of an execution that is known by the observation id in FITS headers, or by the path of its one file."""
    return _identity("execution", telescope, instrument, observation)


def _identity(*parts: str | int) -> UUID:
    return uuid5(NAMESPACE, json.dumps(parts, ensure_ascii=True, separators=(",", ":")))
