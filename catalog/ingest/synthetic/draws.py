"""Random numbers by address: a seed, a stream and an index give a number, in whatever order they are asked for.

A generator with a state would tie every number to those drawn before it, and so to the size of the batches. Here a
counter is hashed instead (the finaliser of SplitMix64), as counter-based generators do.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

__all__ = ["Draws", "Indices", "Texts", "hex_text", "uuid_text"]

Indices = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_UUID_DIGITS = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])
_UUID_EPOCH = np.datetime64(0, "ms")


class Draws:
    """The random numbers of one seed.

    Args:
        seed: Any whole number.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._keys: dict[str, np.uint64] = {}

    def words(self, stream: str, index: Indices) -> npt.NDArray[np.uint64]:
        """64 random bits for each index.

        Args:
            stream: What the numbers are for; different streams are independent.
            index: Any shape.
        """
        counter = (np.asarray(index, dtype=np.int64).astype(np.uint64) + np.uint64(1)) * _GAMMA
        return _mixed(_mixed(counter + self._key(stream)) ^ self._key(stream))

    def uniform(self, stream: str, index: Indices) -> npt.NDArray[np.float64]:
        """A number in [0, 1) for each index."""
        return (self.words(stream, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def shift(self, stream: str, period: int) -> int:
        """One number in [0, period): where a cycle of that length begins."""
        return int(self.words(stream, np.zeros(1, dtype=np.int64))[0] % np.uint64(period))

    def digits(self, stream: str, index: Indices, count: int) -> Texts:
        """``count`` hexadecimal digits in lower case for each index; shape (n,)."""
        words = -(-count // 16)
        address = np.asarray(index, dtype=np.int64)[:, None] * words + np.arange(words)
        octets = np.ascontiguousarray(self.words(stream, address).astype(">u8")).view(np.uint8)
        return hex_text(octets.reshape(len(address), words * 8), count)

    def uuids(self, stream: str, index: Indices, made_at: npt.NDArray[np.datetime64]) -> Texts:
        """A UUID of version 7 (RFC 9562 section 5.7) for each index: the time of its making, then random bits.

        Such identifiers sort roughly as the rows were made, which keeps the indexes of large tables quick to fill.

        Args:
            stream: What the UUIDs are for.
            index: Shape (n,).
            made_at: Shape (n,), UTC.
        """
        address = np.asarray(index, dtype=np.int64)[:, None] * 2 + np.arange(2)
        octets = np.empty((len(address), 16), dtype=np.uint8)
        octets[:, 6:] = np.ascontiguousarray(self.words(stream, address)).view(np.uint8)[:, :10]
        milliseconds = (made_at.astype("datetime64[ms]") - _UUID_EPOCH).astype(np.int64)
        octets[:, :6] = np.ascontiguousarray(milliseconds.astype(">i8")).view(np.uint8).reshape(-1, 8)[:, 2:]
        octets[:, 6] = octets[:, 6] & 0x0F | 0x70
        octets[:, 8] = octets[:, 8] & 0x3F | 0x80
        return uuid_text(octets)

    def _key(self, stream: str) -> np.uint64:
        if stream not in self._keys:
            digest = hashlib.blake2b(f"{self._seed}/{stream}".encode(), digest_size=8).digest()
            self._keys[stream] = np.uint64(int.from_bytes(digest, "big"))
        return self._keys[stream]


def hex_text(octets: npt.NDArray[np.uint8], count: int) -> Texts:
    """The first ``count`` hexadecimal digits of each row of octets; shape (n,)."""
    text = np.empty((len(octets), octets.shape[1] * 2), dtype=np.uint8)
    text[:, 0::2] = _DIGITS[octets >> 4]
    text[:, 1::2] = _DIGITS[octets & 15]
    return _as_text(text[:, :count])


def uuid_text(octets: npt.NDArray[np.uint8]) -> Texts:
    """Rows of 16 octets as hyphenated UUIDs in lower case; shape (n,)."""
    text = np.full((len(octets), 36), ord("-"), dtype=np.uint8)
    text[:, _UUID_DIGITS[0::2]] = _DIGITS[octets >> 4]
    text[:, _UUID_DIGITS[1::2]] = _DIGITS[octets & 15]
    return _as_text(text)


def _as_text(characters: npt.NDArray[np.uint8]) -> Texts:
    """Rows of ASCII codes as text."""
    wide = np.ascontiguousarray(characters.astype(np.uint32))
    return wide.view(f"<U{characters.shape[1]}")[:, 0] if len(wide) else np.empty(0, dtype=f"<U{characters.shape[1]}")


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))
