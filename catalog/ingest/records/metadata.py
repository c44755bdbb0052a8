"""Record of what describes a package beyond the core tables: columns of ``raw_data_package_metadata``.

Each value overrides what is derived (ObsCore 1.1, radio extension 1.0). Units are ObsCore's.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from catalog.ingest.records.values import BigCount, Degrees, Instant, Name, Record, Text, check_order
from catalog.opsdb.enums import DataRights, ScanMode, TrackingType
from catalog.vo.region import parse_region

__all__ = ["MetadataRecord"]

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Cells = Annotated[int, Field(ge=-1, le=2**63 - 1)]
"""Length of an axis; -1 where it is not made of cells."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # the escape, not a backslash that somebody wrote before u0000
_STATES = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")


def _region(value: str) -> str:
    parse_region(value)
    return value


def _pol_states(value: str) -> str:
    states = value.strip("/").split("/")
    known = [state for state in _STATES if state in states]
    if value != f"/{'/'.join(states)}/" or states != known:
        raise ValueError(f"expected slashes around states in the order {' '.join(_STATES)}, such as /I/Q/U/")
    return value


def _document(value: dict[str, Any]) -> dict[str, Any]:
    if _NUL.search(json.dumps(value)):
        raise ValueError("the document has a NUL character")
    return value


class MetadataRecord(Record):
    """Overrides for the published row of a package, and a document for the flexible rest."""

    dataproduct_type: (
        Literal["image", "cube", "spectrum", "sed", "timeseries", "visibility", "event", "measurements"] | None
    ) = None
    dataproduct_subtype: Name | None = None
    calib_level: Annotated[int, Field(ge=0, le=4)] | None = None
    obs_collection: Name | None = None
    obs_title: Name | None = None
    obs_creator_name: Name | None = None
    bib_reference: Name | None = None
    target_name: Name | None = None
    target_class: Name | None = None
    s_ra: Annotated[float, Field(ge=0, le=360)] | None = None
    s_dec: Degrees | None = None
    s_fov: Annotated[float, Field(ge=0, le=360)] | None = None
    s_region: Annotated[Text, AfterValidator(_region)] | None = None
    """``CIRCLE ICRS …`` or ``POLYGON ICRS …``, degrees."""

    s_resolution: _NotNegative | None = None
    s_pixel_scale: _NotNegative | None = None
    s_xel1: _Cells | None = None
    s_xel2: _Cells | None = None
    t_min: float | None = None
    """MJD, UTC."""

    t_max: float | None = None
    t_exptime: _NotNegative | None = None
    t_resolution: _NotNegative | None = None
    t_xel: _Cells | None = None
    em_min: _Positive | None = None
    em_max: _Positive | None = None
    em_res_power: _NotNegative | None = None
    em_xel: _Cells | None = None
    o_ucd: Name | None = None
    o_unit: Name | None = None
    pol_states: Annotated[Name, AfterValidator(_pol_states)] | None = None
    pol_xel: BigCount | None = None
    facility_name: Name | None = None
    instrument_name: Name | None = None
    obs_release_date: Instant | None = None
    data_rights: DataRights | None = None
    s_resolution_min: _NotNegative | None = None
    s_resolution_max: _NotNegative | None = None
    s_fov_min: _NotNegative | None = None
    s_fov_max: _NotNegative | None = None
    s_largest_angular_scale: _NotNegative | None = None
    f_resolution: _NotNegative | None = None
    instr_feed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    scan_mode: ScanMode | None = None
    tracking_type: TrackingType | None = None
    document: Annotated[dict[str, Any], AfterValidator(_document)] | None = None
    """Sections of values with the unit in the key: ``{"observation": {"frequency_ghz": 461.04}}``."""

    generated_at: Instant | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.s_ra is None) != (self.s_dec is None):
            raise ValueError("s_ra and s_dec go together")
        check_order(self, "t_min", "t_max")
        check_order(self, "em_min", "em_max")
        return self
