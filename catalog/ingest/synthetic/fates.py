"""What can become of a package, and where its copies then lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.ingest.synthetic.draws import Indices
from catalog.ingest.synthetic.facts import Facts
from catalog.opsdb.enums import PackageState, PhysicalCopyStatus, Status, Verification

__all__ = ["AT_SOURCE", "MAX_COPIES", "Fates", "build_fates"]

AT_SOURCE = 0
"""In place of a location: the disk that the package's module writes to."""

MAX_COPIES = 5
_CHILE = ("source", "ccat-buffer")


@dataclass(frozen=True, slots=True)
class Fates:
    """The fates of all tables, one after another; arrays over fates, or over fates and `MAX_COPIES`."""

    settled: Indices
    """A hundred indices of fates, as often as their weights say."""

    recent: Indices
    running: Indices
    state: npt.NDArray[np.object_]
    status: npt.NDArray[np.object_]
    failure: npt.NDArray[np.object_]
    """What failed: ``transfer``, ``archive`` or None."""

    built: npt.NDArray[np.bool_]
    staged: npt.NDArray[np.bool_]
    """Unpacked for processing."""

    moved: npt.NDArray[np.bool_]
    """Has left the observatory, or is about to."""

    copies: Indices
    """How many copies there are or were."""

    location: Indices
    copy_status: npt.NDArray[np.object_]
    verification: npt.NDArray[np.object_]


def build_fates(facts: Facts) -> Fates:
    """Read the fates of the timetable.

    Raises:
        ValueError: A word in them is none of the enums', or a table's weights are not a hundred.
    """
    tables: dict[str, Indices] = {}
    fates: list[dict[str, Any]] = []
    for name, table in facts.timetable["fates"].items():
        weights = [fate["weight"] for fate in table]
        if sum(weights) != 100:
            raise ValueError(f"the weights of the fates '{name}' are not a hundred")
        tables[name] = np.repeat(np.arange(len(fates), len(fates) + len(table)), weights)
        fates.extend(table)
    copies = [[_copy(facts, text) for text in fate["copies"]] for fate in fates]
    padded = [row + [(AT_SOURCE, "", "")] * (MAX_COPIES - len(row)) for row in copies]
    status = [str(Status(fate.get("status", "completed"))) for fate in fates]
    return Fates(
        **tables,
        state=_objects([str(PackageState(fate["state"])) for fate in fates]),
        status=_objects(status),
        failure=_objects([fate.get("failure") for fate in fates]),
        built=np.array([text == "completed" for text in status]),
        staged=np.array([fate.get("staged", False) for fate in fates]),
        moved=np.array([_moved(fate) for fate in fates]),
        copies=np.array([len(row) for row in copies]),
        location=np.array([[copy[0] for copy in row] for row in padded]),
        copy_status=_objects([[copy[1] for copy in row] for row in padded]),
        verification=_objects([[copy[2] for copy in row] for row in padded]),
    )


def _copy(facts: Facts, text: str) -> tuple[int, str, str]:
    location, status, verification = text.split()
    number = AT_SOURCE if location == "source" else facts.locations[location]
    return number, str(PhysicalCopyStatus(status)), str(Verification(verification))


def _moved(fate: dict[str, Any]) -> bool:
    abroad = any(not copy.startswith(_CHILE) for copy in fate["copies"])
    return abroad or fate["state"] == PackageState.TRANSFERRING or fate.get("failure") == "transfer"


def _objects(values: list[Any]) -> npt.NDArray[np.object_]:
    return np.array(values, dtype=object)
