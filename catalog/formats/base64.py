"""Bytes as the base64 content of a VOTable's STREAM, in pieces (VOTable 1.4 section 5.3)."""

from __future__ import annotations

import pybase64

__all__ = ["Base64"]


class Base64:
    """Turns pieces of any length into text that reads as one: what does not fill a group of three is kept back."""

    opening = b'<STREAM encoding="base64">\n'
    closing = b"\n</STREAM>\n"

    def __init__(self) -> None:
        self._rest = b""

    def groups(self, piece: bytes | memoryview) -> bytes:
        """Base64 of these bytes, but for the last that do not fill a group."""
        stream = self._rest + piece
        whole = len(stream) - len(stream) % 3
        self._rest = stream[whole:]
        return pybase64.b64encode(memoryview(stream)[:whole])

    def end(self) -> bytes:
        """Base64 of the bytes kept back."""
        rest, self._rest = self._rest, b""
        return pybase64.b64encode(rest)
