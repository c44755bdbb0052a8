"""Kinds of values that records are made of, each with the reason that a wrong one is told."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.json_schema import WithJsonSchema

from catalog.opsdb.enums import ChecksumAlgorithm
from catalog.vo.time import parse_timestamp, to_utc

__all__ = [
    "BigCount",
    "Checksum",
    "Count",
    "Degrees",
    "Instant",
    "Name",
    "Record",
    "RelativePath",
    "Text",
    "check_checksum",
    "check_order",
    "plain_path",
]

_DIGITS = {
    ChecksumAlgorithm.SHA256: 64,
    ChecksumAlgorithm.SHA512: 128,
    ChecksumAlgorithm.SHA1: 40,
    ChecksumAlgorithm.MD5: 32,
    ChecksumAlgorithm.XXH64: 16,
    ChecksumAlgorithm.XXH128: 32,
    ChecksumAlgorithm.CRC32C: 8,
    ChecksumAlgorithm.ADLER32: 8,
}
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
_OFFSET = re.compile(r"[0-9][+-][0-9]{2}:[0-9]{2}$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Record(BaseModel):
    """Base of all records: frozen, unknown keys are errors, numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @property
    def is_reference(self) -> bool:
        """Whether nothing but the key is stated."""
        return not self.stated() - self._key_fields()

    def stated(self) -> set[str]:
        """Names of the fields that hold something."""
        return {name for name, value in vars(self).items() if value is not None}

    @classmethod
    def _key_fields(cls) -> frozenset[str]:
        return frozenset()


def plain_path(path: str) -> str:
    """The path, when it is a plain relative POSIX path.

    Raises:
        ValueError: It is absolute, leaves its root, has empty parts, a control character or more than 4096 bytes.
    """
    if path.startswith("/"):
        raise ValueError(f"{path!r} is absolute: expected a path below the root of the package or location")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is not a plain path: it has an empty part, '.' or '..'")
    if _CONTROL.search(path):
        raise ValueError(f"{path!r} has a control character")
    if len(path.encode()) > 4096 or any(len(part.encode()) > 255 for part in path.split("/")):
        raise ValueError(f"the path {path[:60]!r}… is longer than 4096 bytes, or a part of it than 255")
    return path


def check_checksum(checksum: str | None, algorithm: ChecksumAlgorithm | None) -> None:
    """Refuse an algorithm without a checksum, and a checksum that is too long or short for it.

    Raises:
        ValueError: The two do not fit.
    """
    if checksum is None:
        if algorithm is not None:
            raise ValueError("checksum_algorithm without a checksum")
        return
    algorithm = algorithm or ChecksumAlgorithm.SHA256
    if len(checksum) != _DIGITS[algorithm]:
        raise ValueError(f"a {algorithm} checksum has {_DIGITS[algorithm]} hexadecimal digits, not {len(checksum)}")


def check_order(record: BaseModel, first: str, second: str) -> None:
    """Refuse two fields in the wrong order.

    Raises:
        ValueError: The second is less than the first.
    """
    low, high = getattr(record, first), getattr(record, second)
    if low is not None and high is not None and high < low:
        raise ValueError(f"'{second}' is less than '{first}'")


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("the text has a control character")
    if value != value.strip():
        raise ValueError("the text begins or ends with a blank")
    return value


def _lines(value: str) -> str:
    if _CONTROL_BUT_LINES.search(value):
        raise ValueError("the text has a control character")
    return value


def _hexadecimal(value: str) -> str:
    if not _HEXADECIMAL.fullmatch(value):
        raise ValueError("a checksum is written in hexadecimal digits")
    return value.lower()


def _read_instant(value: Any, info: ValidationInfo) -> Any:
    """Text or a datetime as aware UTC; what carries no zone is counted in the scale of the record."""
    scale = (info.context or {}).get("time_scale", "UTC")
    if isinstance(value, datetime):
        return to_utc(value, scale if value.tzinfo is None else "UTC")
    if not isinstance(value, str):
        raise ValueError("a time is written as YYYY-MM-DDThh:mm:ss[.SSS], with Z or an offset if it has a zone")
    return _parse_instant(value, scale)


@lru_cache(10_000)
def _parse_instant(text: str, scale: str) -> datetime:
    """A time that is written down; the packages of an execution state the same ones."""
    if _OFFSET.search(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(f"'{text}' is not a time that exists") from None
    return parse_timestamp(text.replace(" ", "T", 1), scale="UTC" if text.endswith("Z") else scale)


Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_one_line)]
"""One line of text."""

Text = Annotated[str, Field(min_length=1, max_length=100_000), AfterValidator(_lines)]
"""Text that may have several lines."""

RelativePath = Annotated[str, Field(min_length=1), AfterValidator(plain_path)]
"""POSIX path that stays below its root."""

Checksum = Annotated[str, AfterValidator(_hexadecimal)]
"""Hexadecimal digits, stored in lower case."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
BigCount = Annotated[int, Field(ge=0, le=2**63 - 1)]
Degrees = Annotated[float, Field(ge=-90, le=90)]
"""Latitude."""

Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    WithJsonSchema(
        {"type": "string", "description": "YYYY-MM-DDThh:mm:ss[.SSS], with Z or an offset if it has a zone"}
    ),
]
"""Aware UTC; given as DALI timestamp, counted in the record's ``time_scale`` unless it carries a zone."""
