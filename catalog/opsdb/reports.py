"""What builders and movers report: who says it, and size and checksum in the form in which they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa

from catalog.errors import UsageError
from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.opsdb.refusals import translate_integrity

__all__ = ["Writing", "check_bytes", "reporting", "require_actor"]

Writing = Callable[[], AbstractContextManager[sa.Connection]]
"""Opens a writing transaction, which ends with the block."""

_HEXADECIMAL = re.compile(r"[0-9a-f]+")


@contextmanager
def reporting(actor: str, writing: Writing) -> Iterator[sa.Connection]:
    """A writing transaction of somebody; what the database refuses is said in a sentence.

    Raises:
        UsageError: Nobody is named.
        IntegrityError: The database refuses the change.
    """
    require_actor(actor)
    try:
        with writing() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise translate_integrity(error) from None


def require_actor(actor: str) -> None:
    """See that somebody is named, since the history keeps who acts.

    Raises:
        UsageError: Nobody is.
    """
    if not actor.strip():
        raise UsageError("the history wants to know who acts; name somebody")


def check_bytes(size_bytes: int, checksum: str, algorithm: ChecksumAlgorithm) -> dict[str, Any]:
    """Size and checksum as they are stored.

    Raises:
        UsageError: One of them is none.
    """
    if size_bytes < 0:
        raise UsageError(f"a size is a number of bytes, not {size_bytes}")
    text = checksum.strip().lower()
    if _HEXADECIMAL.fullmatch(text) is None:
        raise UsageError(f"'{checksum}' is no checksum; expected hexadecimal digits")
    return {"size_bytes": size_bytes, "checksum": text, "checksum_algorithm": algorithm}
