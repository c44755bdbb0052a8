"""Which codings clients ask for."""

from __future__ import annotations

import gzip

import pytest

from catalog.web.compression import Packer, accepts_gzip, pack, shrinks


@pytest.mark.parametrize(
    "header", ["gzip", "deflate, gzip", "gzip;q=1.0", "br;q=1.0, GZIP;q=0.8, *;q=0.1", "x-gzip", "gzip; q=0.001"]
)
def test_gzip_is_asked_for(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize("header", [None, "", "identity", "br", "*", "gzip;q=0", "gzip; q=0.000", "gzipped", "gzip;q="])
def test_gzip_is_not_asked_for(header: str | None) -> None:
    assert not accepts_gzip(header)


@pytest.mark.parametrize("pieces", [[b"one"], [b"a" * 100_000, b"", b"b" * 10], [b"", b"x"]])
def test_pieces_come_out_as_they_went_in(pieces: list[bytes]) -> None:
    packer = Packer()
    packed = b"".join(packer.add(piece) for piece in pieces) + packer.end()
    assert gzip.decompress(packed) == b"".join(pieces) == gzip.decompress(pack(b"".join(pieces)))


def test_the_first_piece_can_be_read_before_there_is_a_second() -> None:
    assert b"<VOTABLE" in gzip.zlib.decompressobj(31).decompress(Packer().add(b"<VOTABLE>" * 10))  # type: ignore[attr-defined]


def test_what_is_short_or_packed_by_its_format_is_left_as_it_is() -> None:
    assert shrinks("application/x-votable+xml;serialization=TABLEDATA")
    assert shrinks("text/csv;header=present", 5_000)
    assert not shrinks("text/csv", 100)
    assert not shrinks("application/vnd.apache.parquet")
