"""Where files lie in tars, whoever wrote them; and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import UsageError
from catalog.ingest.members import index_tar
from catalog.ingest.tar import pack_tar
from catalog.opsdb.enums import ChecksumAlgorithm

LONG = "a/" + "x" * 200 + "/" + "y" * 120
CONTENTS = {"b.fits": b"B" * 1000, LONG: b"long", "ä ö/é.json": b"{}", "empty": b"", "block": b"z" * 512}


def tar_of(contents: dict[str, bytes], form: int = tarfile.PAX_FORMAT, **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.pax_headers = options.get("pax", {})
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def assert_indexed(tar: bytes, contents: dict[str, bytes]) -> None:
    found = index_tar(io.BytesIO(tar))
    assert (found.size_bytes, found.checksum) == (len(tar), hashlib.sha256(tar).hexdigest())
    assert set(found.members) == set(contents)
    for name, member in found.members.items():
        assert tar[member.offset : member.offset + member.size_bytes] == contents[name], name
        assert member.sha256 == hashlib.sha256(contents[name]).hexdigest()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_file_is_found_where_it_lies(form: int) -> None:
    assert_indexed(tar_of(CONTENTS, form), CONTENTS)


@pytest.mark.parametrize("form", ["ustar", "pax", "gnu", "v7"])
def test_tars_of_the_usual_program_are_read(tmp_path: Path, form: str, find_program: Callable[[str], str]) -> None:
    contents = {"one.fits": b"1" * 700, "folder/two.fits": b"2" * 5000}
    if form in ("pax", "gnu"):
        contents |= {LONG: b"long", "ä/é": b"non-ASCII"}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to("one.fits")
    command = [find_program("tar"), f"--format={form}", "-cf", tmp_path / "t.tar", "-C", tmp_path, *contents, "link"]
    subprocess.run(command, check=True)
    assert_indexed((tmp_path / "t.tar").read_bytes(), contents)


def test_a_size_in_an_extended_header_counts() -> None:
    """What is larger than 8 GiB has its size there."""
    tar = tar_of({"big": b"12345"}, pax={"size": "5", "comment": "x"})
    assert b"size=5" in tar
    assert_indexed(tar, {"big": b"12345"})


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.lists(st.text("ab é", min_size=1, max_size=60), min_size=1, max_size=5).map("/".join),
        st.binary(max_size=2000),
        max_size=6,
    )
)
def test_the_catalogs_own_tars_know_where_their_files_lie(contents: dict[str, bytes]) -> None:
    members, out = {}, io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, content) in enumerate(contents.items()):
            members[name] = Path(folder) / str(number)
            members[name].write_bytes(content)
        made = pack_tar(members, out)
    found = index_tar(io.BytesIO(out.getvalue()))
    assert made.offsets == {name: member.offset for name, member in found.members.items()}
    assert_indexed(out.getvalue(), contents)


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        (gzip.compress(tar_of(CONTENTS)), r"compressed \(gzip\)"),
        (b"\xfd7zXZ\x00" + bytes(600), r"compressed \(xz\)"),
        (b"SIMPLE  =                    T" * 100, "no tar"),
        (tar_of(CONTENTS)[:1500], "cut off"),
        (tar_of({"x": b"1" * 5000})[:2048], "cut off"),
        (tar_of(CONTENTS) + b"x", "cut off"),
        (tar_of({"x": b"1"})[:1024] + tar_of({"x": b"2"}), "'x' twice"),
        (tar_of({"x": b"1"}, pax={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}), "sparse"),
    ],
    ids=["gzip", "xz", "fits", "cut", "cut-in-file", "odd", "twice", "sparse"],
)
def test_what_cannot_be_read_from_the_middle_is_refused(tar: bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        index_tar(io.BytesIO(tar))


def test_a_sparse_file_of_the_usual_program_is_refused(tmp_path: Path, find_program: Callable[[str], str]) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
        file.seek(5_000_000)
        file.write(b"data")
    for form in ("gnu", "pax"):
        command = [find_program("tar"), f"--format={form}", "-S", "-cf", tmp_path / "t.tar", "-C", tmp_path, "sparse"]
        subprocess.run(command, check=True)
        with (tmp_path / "t.tar").open("rb") as stream, pytest.raises(UsageError, match="sparse"):
            index_tar(stream)


def test_another_checksum_is_computed_or_refused() -> None:
    tar = tar_of(CONTENTS)
    found = index_tar(io.BytesIO(tar), algorithm=ChecksumAlgorithm.SHA512)
    assert found.checksum == hashlib.sha512(tar).hexdigest()
    with pytest.raises(UsageError, match="xxh64 cannot be computed here"):
        index_tar(io.BytesIO(tar), algorithm=ChecksumAlgorithm.XXH64)


def test_memory_does_not_grow_with_the_bytes(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(200 * 2**20)
    with (tmp_path / "t.tar").open("wb") as out:
        pack_tar({"big": big}, out)
    tracemalloc.start()
    with (tmp_path / "t.tar").open("rb") as stream:
        index_tar(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20
