"""Walking a tree: a fixed order, nothing outside of it, no name that cannot be written down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalog.ingest.tree import Foreign, Found, Linked, Refused, walk_tree


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.fits", "a/c.FITS.GZ", "a/b.fit", "Z.fts", "a.fz", "readme.txt", "x.fits.Z", "y.fits~")
    items = list(walk_tree(tmp_path))
    assert [item.relative_path for item in items if isinstance(item, Found)] == [
        "Z.fts",
        "a/b.fit",
        "a/c.FITS.GZ",
        "a.fz",
        "b.fits",
        "x.fits.Z",
    ]
    assert sorted(item.path for item in items if isinstance(item, Foreign)) == [
        str(tmp_path / "readme.txt"),
        str(tmp_path / "y.fits~"),
    ]


def test_one_file_is_a_tree_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "a.fits", "b.fits")
    assert list(walk_tree(tmp_path / "a.fits")) == [Found(tmp_path / "a.fits", "a.fits")]


def test_links_that_leave_the_tree_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    touch(tmp_path, "secret.fits", "outside/x.fits", "tree/own.fits", "tree/data.raw")
    (root / "out.fits").symlink_to(tmp_path / "secret.fits")
    (root / "up").symlink_to(tmp_path / "outside")
    (root / "again.fits").symlink_to("own.fits")
    (root / "named.fits").symlink_to("data.raw")
    (root / "nowhere.fits").symlink_to("missing")
    (root / "loop").symlink_to(".")
    items = list(walk_tree(root))
    assert {Path(item.path).name: item.reason for item in items if isinstance(item, Refused)} == {
        "nowhere.fits": "the link leads nowhere",
        "out.fits": "the link leads out of the tree",
        "up": "the link leads out of the tree",
    }
    assert [item.relative_path for item in items if isinstance(item, Found)] == ["named.fits", "own.fits"]
    assert [Path(item.path).name for item in items if isinstance(item, Linked)] == ["again.fits", "loop"]


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fits")
    os.mkfifo(tmp_path / "pipe")
    pipe, fits_pipe = walk_tree(tmp_path)
    assert isinstance(pipe, Foreign)
    assert isinstance(fits_pipe, Refused)
    assert "special file" in fits_pipe.reason


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        (b"new\nline.fits", r"new\nline.fits", "control character"),
        (b"esc\x1b[31m.fits", r"esc\x1b[31m.fits", "control character"),
        (b"latin\xe4.fits", r"latin\udce4.fits", "not UTF-8"),
        (b"bad\nfolder/ok.fits", r"bad\nfolder/ok.fits", "control character"),
    ],
)
def test_names_that_cannot_be_written_down_are_refused(name: bytes, shown: str, reason: str, tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  (bytes)
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    with open(path, "wb"):  # noqa: PTH123
        pass
    (item,) = walk_tree(tmp_path)
    assert isinstance(item, Refused)
    assert item.path == f"{tmp_path}/{shown}"
    assert reason in item.reason


def test_odd_but_legal_names_are_taken(tmp_path: Path) -> None:
    names = ["..fits", "-rf.fits", "a b.fits", "a'b\"c;d.fits", "%2e%2e.fits", "ünï.fits", "..a..fits"]
    touch(tmp_path, *names)
    assert {item.relative_path for item in walk_tree(tmp_path) if isinstance(item, Found)} == set(names)
