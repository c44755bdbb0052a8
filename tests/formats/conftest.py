from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from catalog.vo.table import Column, Table
from catalog.vo.types import Datatype


@pytest.fixture(scope="session")
def stilts() -> Callable[..., str]:
    """Run a STILTS task and return what it printed, standard error included."""
    command = shutil.which("stilts")
    if command is None:
        if os.environ.get("CI") == "true":
            pytest.fail("stilts is not installed: apt-get install --no-install-recommends stilts")
        pytest.skip("stilts is not installed, so its judgement is MISSING: apt-get install stilts")

    def run(*arguments: str) -> str:
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        done = subprocess.run([command, *arguments], capture_output=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return (done.stdout + done.stderr).decode()

    return run


_COLUMNS: list[tuple[Column, list[object]]] = [
    (Column("flag", Datatype.BOOLEAN), [True, False, None, True]),
    (Column("octet", Datatype.UNSIGNED_BYTE), [0, 255, None, 7]),
    (Column("short", Datatype.SHORT), [-(2**15), 2**15 - 1, None, 0]),
    (Column("int", Datatype.INT, unit="pixel"), [-(2**31), 2**31 - 1, None, 0]),
    (Column("long", Datatype.LONG), [-(2**63), 2**63 - 1, None, 0]),
    (Column("float", Datatype.FLOAT), [1.5, float("nan"), None, float("-inf")]),
    (
        Column(
            "t_min",
            Datatype.DOUBLE,
            unit="d",
            ucd="time.start;obs.exposure",
            utype="obscore:Char.TimeAxis.Coverage.Bounds.Limits.StartTime",
            description="Start, MJD",
            ref="utc_mjd",
        ),
        [0.1, float("inf"), None, float("nan")],
    ),
    (Column("s_ra", Datatype.DOUBLE, unit="deg", ucd="pos.eq.ra", ref="icrs"), [83.8, 1e-300, None, -0.0]),
    (Column("text", Datatype.CHAR, "*"), ["a<&>\"b'", "", None, "x,y\tz"]),
    (Column("text10", Datatype.CHAR, "10"), ["abc", "abcdefghij", None, ""]),
    (Column("text10s", Datatype.CHAR, "10*"), ["abc", "abcdefghij", None, ""]),
    (Column("unicode", Datatype.UNICODE_CHAR, "*"), ["Ωé𝄞 <&>", "plain", None, ""]),
    (Column("unicode5", Datatype.UNICODE_CHAR, "5"), ["Ωé𝄞", "plain", None, ""]),
    (
        Column("point", Datatype.DOUBLE, "2", xtype="point", unit="deg"),
        [[1.0, 2.0], [83.8, -5.4], None, [0.0, -0.0]],
    ),
    (Column("doubles", Datatype.DOUBLE, "*"), [[1.0, float("inf"), 3.0], [], None, [0.1]]),
    (Column("ints", Datatype.INT, "*"), [[1, 2, 3], [], None, [-5]]),
    (Column("flags", Datatype.BOOLEAN, "*"), [[True, False], [], None, [True]]),
    (Column("flags3", Datatype.BOOLEAN, "3"), [[True, False, True], [False] * 3, None, [True] * 3]),
    (Column("octets", Datatype.UNSIGNED_BYTE, "*"), [[1, 255], [], None, [0]]),
    (Column("matrix", Datatype.FLOAT, "2x3"), [[1, 2, 3, 4, 5, 6], [1] * 6, None, [0.5] * 6]),
]


@pytest.fixture
def every_kind() -> tuple[Table, list[dict[str, object]]]:
    """A table with a column of every kind, and four rows: ordinary, extreme, null, mixed."""
    table = Table("ivoa.sample", tuple(column for column, _ in _COLUMNS), description="Every kind of <column> & é")
    rows = [{column.name: values[row] for column, values in _COLUMNS} for row in range(4)]
    return table, rows
