"""Keywords of one header, read leniently: what cannot be read is noted and counts as absent."""

from __future__ import annotations

import math
import re

from astropy.io import fits

__all__ = ["Keywords"]

_LONGEST = 255
_BRACKETED = re.compile(r"^\s*\[([^\]]{1,20})\]")


class Keywords:
    """The values of one header.

    Args:
        header: As astropy parses it.
        where: How notes call it: ``HDU 0``.
        notes: Where remarks on bad values go.
    """

    def __init__(self, header: fits.Header, where: str, notes: list[str]) -> None:
        self._header = header
        self._where = where
        self._notes = notes

    def text(self, *names: str) -> str | None:
        """The first of these keywords that holds text, in one line; numbers are taken as they are written."""
        for name in names:
            value = self._value(name)
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                continue
            text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
            if len(text) > _LONGEST:
                self.note(f"{name} has more than {_LONGEST} characters")
            elif text:
                return text
        return None

    def number(self, *names: str) -> float | None:
        """The first of these keywords that holds a finite number, also one in quotes."""
        for name in names:
            value = self._value(name)
            if value is None or isinstance(value, bool) or value == "":
                continue
            if not isinstance(value, str | int | float):
                self.note(f"{name} is not a number")
                continue
            try:
                number = float(value)
            except (ValueError, OverflowError):
                self.note(f"{name} is not a number")
                continue
            if math.isfinite(number):
                return number
            self.note(f"{name} is not finite")
        return None

    def raw(self, name: str) -> object:
        """The value as astropy reads it; None when it is absent or unreadable."""
        return self._value(name)

    def unit(self, name: str) -> str | None:
        """The unit in brackets that the comment begins with (FITS 4.0 section 4.3.2), else one spelled out in it."""
        comment = str(self._header.comments[name]) if name in self._header else ""
        match = _BRACKETED.match(comment)
        if match:
            return match[1].strip()
        words = re.findall(r"[A-Za-z]+", comment.lower())
        return next((unit for word in words if (unit := _SPELLED.get(word))), None)

    def note(self, remark: str) -> None:
        """Keep a remark on something that was left out."""
        self._notes.append(f"{self._where}: {remark}")

    def __contains__(self, name: str) -> bool:
        return self._value(name) is not None

    def _value(self, name: str) -> object:
        if name not in self._header:
            return None
        try:
            value = self._header[name]
        except (fits.VerifyError, ValueError, KeyError):
            self.note(f"{name} cannot be read")
            return None
        return None if isinstance(value, fits.card.Undefined) else value


_SPELLED = {
    "minutes": "min",
    "hours": "h",
    "seconds": "s",
    "milliseconds": "ms",
    "ghz": "GHz",
    "mhz": "MHz",
    "khz": "kHz",
    "hz": "Hz",
    "angstrom": "Angstrom",
    "angstroms": "Angstrom",
    "nm": "nm",
    "micron": "um",
    "microns": "um",
    "mm": "mm",
    "degrees": "deg",
}
