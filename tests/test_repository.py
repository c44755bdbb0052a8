"""The repository itself: what is pinned, what the Makefile offers, what no file may name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ["run", "test", "check", "bench", "soak", "docs", "help"]
REGISTRIES = [  # in pieces, so that this file does not name them either
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("debian", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("conda", "io"),
    ("anaconda", "org"),
    ("docker", "io"),
    ("golang", "org"),
    ("crates", "io"),
]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def tracked() -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("without git there is no list of files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout: there is no list of files")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def small_copy(folder: Path, makefile: str | None = None) -> Path:
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    if makefile is None:
        shutil.copy(ROOT / "Makefile", folder)
    else:
        (folder / "Makefile").write_text(makefile, encoding="utf-8")
    return folder


def test_constraints_are_plain_pins() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "@" not in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    known = pins()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in known, f"{name} is required and not pinned"
        assert requirement.specifier.contains(known[name]), f"{requirement} does not allow {known[name]}"


def test_only_the_chosen_database_drivers_are_installed() -> None:
    """Two SQLite libraries in one process drop each other's locks."""
    assert not {"apsw", "adbc-driver-sqlite", "pysqlite3", "pysqlite3-binary", "duckdb"} & pins().keys()


def test_make_help_names_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make (\w+) +\S", shown, flags=re.MULTILINE) == ["help", *[t for t in TARGETS if t != "help"]]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(target: str) -> None:
    planned = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr


def test_old_python_is_refused_in_words(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    made = subprocess.run(
        ["make", ".venv/.made", f"PYTHON={old}"],
        cwd=small_copy(tmp_path / "copy"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode != 0
    assert "Python 3.11 or later is needed" in made.stderr
    assert "is Python 3.9.2" in made.stderr
    assert not (tmp_path / "copy" / ".venv").exists()


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    folder = small_copy(tmp_path / "copy")
    unfinished = folder / ".venv" / "bin" / "python"
    unfinished.parent.mkdir(parents=True)
    unfinished.symlink_to(sys.executable)
    subprocess.run(["make", ".venv/.made", f"PYTHON={sys.executable}"], cwd=folder, check=True, capture_output=True)
    subprocess.run([unfinished, "-m", "pip", "--version"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("check", "test", "passes"), [("true", "true", True), ("false", "true", False), ("true", "false", False)]
)
def test_ci_runs_both_and_fails_with_either(tmp_path: Path, check: str, test: str, passes: bool) -> None:
    makefile = f"check:\n\t@echo checked CI=$$CI; {check}\ntest:\n\t@echo tested CI=$$CI; {test}\n"
    folder = small_copy(tmp_path / "copy", makefile)
    ran = subprocess.run(["bash", ".ci/run"], cwd=folder, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) is passes
    assert "checked CI=true" in ran.stdout
    assert "tested CI=true" in ran.stdout


@pytest.mark.parametrize("script", ["run", "debian", "python"])
def test_scripts_are_sound(script: str) -> None:
    path = ROOT / ".ci" / script
    assert path.stat().st_mode & 0o111, f"{path} is not executable"
    subprocess.run(["bash", "-n", path], check=True)


def test_no_file_names_a_registry() -> None:
    names = [re.compile(rb"(?<![\w-])" + re.escape(".".join(pair)).encode()) for pair in REGISTRIES]
    found = [path for path in tracked() if any(name.search(path.read_bytes()) for name in names)]
    assert found == []


def test_nothing_large_or_compiled_is_committed() -> None:
    wrong = [
        path
        for path in tracked()
        if path.stat().st_size > 1_000_000 or path.suffix in {".whl", ".jar", ".so", ".pyc", ".db", ".tar", ".gz"}
    ]
    assert wrong == []
