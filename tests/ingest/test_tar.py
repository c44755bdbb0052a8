"""The same files make the same tar; unpacking it restores paths and bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import UsageError
from catalog.ingest import tar as tar_module
from catalog.ingest.tar import Digest, digest_file, pack_tar, write_tar

NAMES = ["b.fits", "a/z.fits", "a/ä ö.fits", "a.fits", "deep/" + "x" * 120 + "/" + "y" * 120 + ".fits", "empty.fits"]


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Path]:
    members = {}
    for number, name in enumerate(NAMES):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty.fits" else bytes([number]) * (700 * number + 1))
        members[name] = path
    return members


def test_a_tar_does_not_depend_on_order_time_mode_or_owner(tree: dict[str, Path], tmp_path: Path) -> None:
    first = write_tar(tree, tmp_path / "one.tar")
    for path in tree.values():
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    second = write_tar(dict(reversed(tree.items())), tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert first == second


def test_a_tar_never_changes_between_versions(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"SIMPLE")
    assert pack_tar({"a/ä.fits": path}).digest == Digest(
        10240, "c02d6b5ab47cd30fea5d5d5e7d85a55a474e5c984e797154813208c6b3e158f0"
    )


def test_a_tar_that_is_only_computed_is_the_one_that_is_written(tree: dict[str, Path], tmp_path: Path) -> None:
    computed = pack_tar(tree)
    written = write_tar(tree, tmp_path / "sub" / "one.tar")
    content = (tmp_path / "sub" / "one.tar").read_bytes()
    assert computed == written
    assert computed.digest == Digest(len(content), hashlib.sha256(content).hexdigest())
    assert digest_file(tmp_path / "sub" / "one.tar") == computed.digest
    assert computed.members["b.fits"] == digest_file(tree["b.fits"])


@pytest.mark.parametrize("program", ["python", "tar"])
def test_unpacking_restores_paths_and_bytes(tree: dict[str, Path], tmp_path: Path, program: str) -> None:
    write_tar(tree, tmp_path / "one.tar")
    target = tmp_path / "restored"
    target.mkdir()
    if program == "tar":
        subprocess.run(["tar", "-xf", tmp_path / "one.tar", "-C", target], check=True)
    else:
        with tarfile.open(tmp_path / "one.tar") as opened:
            opened.extractall(target, filter="data")
    restored = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert restored == {name: path.read_bytes() for name, path in tree.items()}


paths = st.lists(st.text("ab é", min_size=1, max_size=60), min_size=1, max_size=5).map("/".join)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(paths, st.binary(max_size=2000), max_size=6))
def test_any_tree_comes_back(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = {}
        for number, (name, content) in enumerate(contents.items()):
            members[name] = Path(folder) / str(number)
            members[name].write_bytes(content)
        write_tar(members, Path(folder) / "t.tar")
        with tarfile.open(Path(folder) / "t.tar") as opened:
            found = {entry.name: opened.extractfile(entry) for entry in opened}
            assert {name: stream.read() for name, stream in found.items() if stream} == contents


def test_a_file_that_changes_while_it_is_read_is_refused(
    tree: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    class Other:
        def __init__(self, size: int) -> None:
            self.st_size = size

    for difference, word in ((1, "shorter"), (-1, "grew")):
        monkeypatch.setattr(tar_module.os, "fstat", lambda fd, d=difference: Other(real(fd).st_size + d))
        with pytest.raises(UsageError, match=word):
            write_tar({"b": tree["a/z.fits"]}, tmp_path / "one.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_an_unreadable_file_leaves_no_tar(tree: dict[str, Path], tmp_path: Path) -> None:
    tree["gone.fits"] = tmp_path / "gone.fits"
    with pytest.raises(UsageError, match=r"the file 'gone.fits' cannot be read"):
        write_tar(tree, tmp_path / "one.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_a_folder_that_cannot_be_written_is_told(tree: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_tar(tree, tmp_path / "file" / "one.tar")


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(200 * 2**20)
    tracemalloc.start()
    pack_tar({"big": big})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
