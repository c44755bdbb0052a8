"""The header and data units of a FITS file (FITS 4.0 section 3), headers alone, in constant memory.

Data are passed over, but their end must exist: a truncated file is an error. Only the padding of the last block may
be missing, as in many files in the wild.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from astropy.io import fits

from catalog.errors import UsageError

__all__ = ["Hdu", "read_hdus"]

_BLOCK = 2880
_CARD = 80
_LONGEST_HEADER = 5000  # blocks, 180,000 cards
_MOST_HDUS = 10_000
_CHUNK = 2**20
_BITPIX = (8, 16, 32, 64, -32, -64)
_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_OTHER_ARCHIVES = {b"\x1f\x9d": "compressed with LZW (.Z)", b"PK": "a zip archive"}


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header, and what kind of data follow."""

    index: int
    header: fits.Header
    """As astropy parses it; of a tile-compressed image, that of the image (FITS 4.0 section 10.1)."""

    kind: str
    """``image``, ``groups`` (random groups) or ``table``; the name of the extension for others."""

    @property
    def shape(self) -> tuple[int, ...]:
        """NAXIS1, NAXIS2 …, of an image; of the groups without the first, which is 0; empty for others."""
        if self.kind not in ("image", "groups"):
            return ()
        axes = [_integer(self.header, f"NAXIS{n + 1}", 0) for n in range(_integer(self.header, "NAXIS", 0))]
        return tuple(axes[1:] if self.kind == "groups" else axes)


def read_hdus(path: Path) -> Iterator[Hdu]:
    """Every HDU of a file, also one packed with gzip, bzip2 or xz.

    Nothing is yielded of a file that declares itself not to conform (SIMPLE = F).

    Raises:
        UsageError: The file is empty, not FITS, broken or truncated; says where.
    """
    try:
        with _opened(path) as stream:
            yield from _walk(stream)
    except (EOFError, zlib.error, lzma.LZMAError):
        raise UsageError("the compressed file is broken or truncated") from None
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror or error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        if not magic:
            raise UsageError("the file is empty")
        if magic in _OTHER_ARCHIVES:
            raise UsageError(f"the file is {_OTHER_ARCHIVES[magic]}, which is not read: unpack it first")
        opener = _OPENERS.get(magic)
        if opener is None:
            yield raw
        else:
            with opener(raw) as stream:
                yield stream


def _walk(stream: BinaryIO) -> Iterator[Hdu]:
    for index in range(_MOST_HDUS):
        header = _read_header(stream, index)
        if header is None:
            return
        if index == 0 and header.get("SIMPLE") is not True:
            return
        kind = _kind(header, index)
        size = _data_size(header, kind, index)
        _skip(stream, size, index)
        yield Hdu(index, _image_header(header) if _is_compressed_image(header) else header, _shown(header, kind))
    raise UsageError(f"the file has more than {_MOST_HDUS} HDUs")


def _read_header(stream: BinaryIO, index: int) -> fits.Header | None:
    """The header that starts here; None where the file ends, or goes on with something that is no HDU."""
    blocks: list[bytes] = []
    while True:
        block = stream.read(_BLOCK)
        if not blocks:
            expected = b"SIMPLE" if index == 0 else b"XTENSION"
            if not block.startswith(expected):
                if index == 0:
                    raise UsageError("the file is not FITS: it does not begin with SIMPLE")
                return None  # FITS 4.0 section 3.5: special records, or junk; neither is ours
        blocks.append(block)
        end = _end_card(block)
        if end is not None:
            blocks[-1] = block[:end]
            break
        if len(block) < _BLOCK:
            raise UsageError(f"the header of HDU {index} has no END: the file is truncated")
        if len(blocks) > _LONGEST_HEADER:
            raise UsageError(f"the header of HDU {index} has no END within {_LONGEST_HEADER} blocks")
    text = b"".join(blocks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _readable(fits.Header.fromstring(text.decode("ascii", errors="replace").replace("\ufffd", "?")))


def _readable(header: fits.Header) -> fits.Header:
    """The header without the cards whose value breaks the standard: one of them should not cost the rest."""
    cards = []
    for card in header.cards:
        try:
            _ = card.value
        except (fits.VerifyError, ValueError):
            continue
        cards.append(card)
    return header if len(cards) == len(header) else fits.Header(cards)


def _end_card(block: bytes) -> int | None:
    for start in range(0, len(block) - 2, _CARD):
        if block[start : start + _CARD].rstrip(b" \0") == b"END":
            return start
    return None


def _kind(header: fits.Header, index: int) -> str:
    if index == 0:
        return "groups" if header.get("GROUPS") is True and _integer(header, "NAXIS1", -1) == 0 else "image"
    extension = str(header.get("XTENSION", "")).strip().upper()
    return {"IMAGE": "image", "IUEIMAGE": "image", "BINTABLE": "table", "A3DTABLE": "table", "TABLE": "table"}.get(
        extension, extension
    )


def _shown(header: fits.Header, kind: str) -> str:
    return "image" if _is_compressed_image(header) else kind


def _is_compressed_image(header: fits.Header) -> bool:
    return header.get("ZIMAGE") is True


def _data_size(header: fits.Header, kind: str, index: int) -> int:
    """Bytes of data, without padding (FITS 4.0 equation 2)."""
    try:
        bitpix = _integer(header, "BITPIX")
        axes = [_integer(header, f"NAXIS{n + 1}") for n in range(_integer(header, "NAXIS"))]
        pcount, gcount = _integer(header, "PCOUNT", 0), _integer(header, "GCOUNT", 1)
    except ValueError as error:
        raise UsageError(f"the header of HDU {index} is broken: {error}") from None
    if bitpix not in _BITPIX:
        raise UsageError(f"the header of HDU {index} is broken: BITPIX is {bitpix}")
    if min([0, *axes, pcount, gcount]) < 0:
        raise UsageError(f"the header of HDU {index} is broken: a size is negative")
    if not axes:
        return 0
    cells = prod(axes[1:] if kind == "groups" else axes)
    if index == 0 and kind == "image":
        pcount, gcount = 0, 1
    return abs(bitpix) // 8 * gcount * (pcount + cells)


def _integer(header: fits.Header, keyword: str, default: int | None = None) -> int:
    """An integer of the header.

    Raises:
        ValueError: It is missing without a default, or no integer.
    """
    try:
        value = header.get(keyword)
    except (fits.VerifyError, ValueError):
        value = "unreadable"
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{keyword} is missing" if value is None else f"{keyword} is not an integer")
    if keyword == "NAXIS" and not 0 <= value <= 999:
        raise ValueError(f"NAXIS is {value}")
    return value


def _skip(stream: BinaryIO, size: int, index: int) -> None:
    """Pass over data and their padding.

    Raises:
        UsageError: The file ends within the data.
    """
    padding = -size % _BLOCK
    if isinstance(stream, io.BufferedReader):
        left = os.fstat(stream.fileno()).st_size - stream.tell()
        if left >= size:
            stream.seek(min(size + padding, left), io.SEEK_CUR)
            return
    else:
        left = 0
        while left < size and (data := stream.read(min(_CHUNK, size - left))):
            left += len(data)
        if left == size:
            stream.read(padding)
            return
    raise UsageError(f"the data of HDU {index} have {left} of {size} bytes: the file is truncated")


def _image_header(header: fits.Header) -> fits.Header:
    """The header of the image that a table holds in tiles: its size, without what describes the table."""
    table = {"XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP"}
    cards = [
        card
        for card in header.cards
        if card.keyword not in table and not card.keyword.startswith(("Z", "TTYPE", "TFORM", "TDIM", "TUNIT"))
    ]
    image = fits.Header([("XTENSION", "IMAGE"), ("BITPIX", 8), ("NAXIS", _integer(header, "ZNAXIS", 0))])
    for axis in range(_integer(header, "ZNAXIS", 0)):
        image[f"NAXIS{axis + 1}"] = _integer(header, f"ZNAXIS{axis + 1}", 0)
    for card in cards:
        image.append(card, end=True)
    return image
