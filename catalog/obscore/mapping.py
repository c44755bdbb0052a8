"""What each column of ObsCore and of its radio extension is, stated once.

A rule is either an expression over the core tables, which the database evaluates, or the name of a derivation that
works on whole columns in Python. Whatever the metadata of a package state overrides what is derived. The table in the
documentation is made from the sentences here (ObsCore 1.1 section 4, radio extension 1.0).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from catalog.obscore import inputs as core
from catalog.obscore.batch import Batch, Values
from catalog.obscore.package_obscore import RADIO_TABLE, TABLE, published_table
from catalog.obscore.spatial_axis import derive_spatial_axis
from catalog.obscore.spectral_axis import derive_spectral_axis
from catalog.obscore.text_columns import derive_texts
from catalog.obscore.time_axis import derive_release_date, derive_times
from catalog.opsdb.enums import ModuleKind, TrackingType

__all__ = ["DERIVATIONS", "INPUTS", "MAPPING", "STANDARD_FORMATS", "Rule", "mapping_digest", "render_mapping"]

Expression = sa.ColumnElement[Any]
Derivation = Callable[[Batch], dict[str, Values]]

_REVISION = 3
"""Raise when a derivation in Python changes its results: every package is then resolved anew."""

STANDARD_FORMATS = (
    "application/fits",
    "image/fits",
    "application/x-fits",
    "application/sdfits",
    "application/x-sdfits",
    "application/x-votable+xml",
)
"""Media types of files that make a raw package calib_level 1 (ObsCore 1.1 section 4.1.2)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where a column comes from."""

    column: str
    source: str
    """One sentence for the documentation."""

    expression: Expression | None = None
    """Over the tables of `catalog.obscore.inputs`; None when a derivation or the view yields the column."""


def _stated(column: str, *otherwise: Expression | str | int | float) -> Expression:
    """What the metadata state, else the first of the others that is not NULL. Empty text says nothing."""
    own: Expression = sa.type_coerce(core.METADATA.c[column], _plain_type(core.METADATA.c[column]))
    rest = [other if isinstance(other, sa.ColumnElement) else sa.literal(other) for other in otherwise]
    said = [sa.func.nullif(one, "") if isinstance(one.type, sa.Text) else one for one in (own, *rest)]
    return sa.func.coalesce(*said) if rest else said[0]


def _plain_type(column: sa.ColumnElement[Any]) -> sa.types.TypeEngine[Any]:
    return sa.Text() if isinstance(column.type, sa.Enum) else column.type


def _text(column: sa.ColumnElement[Any]) -> Expression:
    return sa.type_coerce(column, sa.Text())


def _calib_level() -> Expression:
    media_type = sa.func.lower(core.PACKAGE.c.content_format)
    forms = [media_type.in_(STANDARD_FORMATS), *(media_type.like(f"{name};%") for name in STANDARD_FORMATS)]
    return sa.case((sa.or_(*forms), 1), else_=0)


def _by_kind(detector_stream: str, heterodyne: str) -> Expression:
    kind = _text(core.MODULE.c.kind)
    return sa.case(
        (kind == ModuleKind.DETECTOR_STREAM.value, detector_stream), (kind == ModuleKind.HETERODYNE.value, heterodyne)
    )


def _tracking_type() -> Expression:
    """In the spelling of the radio extension, which differs from the stored lower-case value in one case."""
    by_source = sa.case(
        (core.FIXED.c.id.is_not(None), TrackingType.SIDEREAL.value),
        (core.DRIFT.c.id.is_not(None), TrackingType.FIXED_AZ_EL_TRANSIT.value),
        (core.SOLAR_SYSTEM.c.id.is_not(None), TrackingType.SOLAR_SYSTEM_OBJECT_TRACKING.value),
    )
    stored = _stated("tracking_type", _text(core.MODE.c.tracking_type), by_source)
    return sa.case(
        (stored == TrackingType.SOLAR_SYSTEM_OBJECT_TRACKING.value, "Solar-system-object-tracking"), else_=stored
    )


def _kilobytes() -> Expression:
    """Rounded up, without a sum that could leave 64 bits."""
    size = core.PACKAGE.c.size_bytes
    return size // 1000 + sa.case((size % 1000 > 0, 1), else_=0)


def _pol_xel() -> Expression:
    states = _pol_states()
    slashes = sa.func.length(states) - sa.func.length(sa.func.replace(states, "/", ""))
    return _stated("pol_xel", sa.case((slashes > 1, slashes - 1), else_=0))


def _pol_states() -> Expression:
    return _stated("pol_states", core.MODULE.c.pol_states)


def _nothing() -> Expression:
    return sa.null()


_KNOWN_ONLY_IF_STATED = "As stated in the package's metadata; nothing is derived."
_PUBLISHER_ID = sa.bindparam("publisher_id", type_=sa.Text())

_OBSCORE: tuple[Rule, ...] = (
    Rule(
        "dataproduct_type",
        "As stated, else by the kind of the module: timeseries for detector streams, spectrum for heterodyne "
        "spectrometers, NULL for others.",
        _stated("dataproduct_type", _by_kind("timeseries", "spectrum")),
    ),
    Rule(
        "calib_level",
        "As stated, else 1 when the content format of the package is FITS, SDFITS or VOTable, 0 otherwise.",
        _stated("calib_level", _calib_level()),
    ),
    Rule(
        "obs_collection",
        "As stated, else the short name of the observing programme ('unassigned' if an attached database has none).",
        _stated("obs_collection", core.PROGRAM.c.short_name, "unassigned"),
    ),
    Rule("obs_id", "The id of the executed observation unit.", sa.cast(core.PACKAGE.c.executed_obs_unit_id, sa.Text())),
    Rule(
        "obs_publisher_did",
        "`ivo://<authority>/<path>?<package id>`, set once when the package is first published.",
        core.PUBLICATION.c.obs_publisher_did,
    ),
    Rule(
        "access_url",
        "The DataLink document of the package, computed in the view from the service's base URL; NULL when no copy "
        "can be offered: none is present, or marked for deletion that is possible or pending, or each of these was "
        "found missing or damaged.",
    ),
    Rule("access_format", "`application/x-votable+xml;content=datalink`, NULL with access_url; computed in the view."),
    Rule(
        "access_estsize",
        "Size of the package in kbyte (1000 byte), rounded up.",
        _kilobytes(),
    ),
    Rule("target_name", "As stated, else the name of the source.", _stated("target_name", core.SOURCE.c.name)),
    Rule(
        "s_ra",
        "As stated with s_dec; else the centre of the stated region; else by the source: its coordinates, where a body "
        "of the Solar System stood at mid-package, or the centre of the envelope of a scan at constant elevation.",
    ),
    Rule("s_dec", "As s_ra."),
    Rule(
        "s_fov",
        "As stated; else the diameter of the stated region or of the scan's envelope; else the larger of the mapped "
        "extent and the module's field (of one beam, where the field is unknown). NULL without a position.",
    ),
    Rule(
        "s_region",
        "As stated, in canonical form; else the envelope of the scan at constant elevation (of its field, where "
        "azimuth, elevation or times are unknown); else the circle of diameter s_fov around the position.",
    ),
    Rule(
        "s_resolution",
        "As stated, else the beam of the module.",
        _stated("s_resolution", core.MODULE.c.beam_fwhm_arcsec),
    ),
    Rule("s_xel1", _KNOWN_ONLY_IF_STATED, _stated("s_xel1")),
    Rule("s_xel2", _KNOWN_ONLY_IF_STATED, _stated("s_xel2")),
    Rule("t_min", "As stated, else the first start of the package's own files, else of the executed unit; MJD (UTC)."),
    Rule(
        "t_max",
        "As stated, else the last end of the package's own files, else of the executed unit; MJD (UTC). NULL while the "
        "unit runs, that is has begun and not ended.",
    ),
    Rule(
        "t_exptime",
        "As stated, else the sum of the exposure times of the package's files, at most t_max - t_min because files are "
        "written side by side; that span where a file's exposure time is unknown.",
    ),
    Rule("t_resolution", _KNOWN_ONLY_IF_STATED, _stated("t_resolution")),
    Rule("t_xel", _KNOWN_ONLY_IF_STATED, _stated("t_xel")),
    Rule(
        "em_min",
        "As stated, else the upper edge in frequency of what was observed: of the tuned line + half of the "
        "instantaneous band for a heterodyne module whose band holds that line, else of the module's band.",
    ),
    Rule("em_max", "As stated, else the lower edge in frequency, found as for em_min."),
    Rule(
        "em_res_power",
        "As stated, else frequency at mid-band over the channel width that the module was set to, else the module's "
        "resolving power.",
    ),
    Rule("em_xel", "As stated, else the tuned band over the channel width; NULL for a module that is not tuned."),
    Rule(
        "o_ucd",
        "As stated, else phys.voltage for detector streams and heterodyne spectra, as the radio extension advises.",
        _stated("o_ucd", _by_kind("phys.voltage", "phys.voltage")),
    ),
    Rule("pol_states", "As stated, else the states that the module tells apart.", _pol_states()),
    Rule("pol_xel", "As stated, else the number of states in pol_states, 0 without.", _pol_xel()),
    Rule(
        "facility_name",
        "As stated, else the short name of the telescope.",
        _stated("facility_name", core.TELESCOPE.c.short_name),
    ),
    Rule(
        "instrument_name",
        "As stated, else the names of instrument and module, joined by a slash.",
        _stated("instrument_name", core.INSTRUMENT.c.name + "/" + core.MODULE.c.name),
    ),
    Rule("dataproduct_subtype", _KNOWN_ONLY_IF_STATED, _stated("dataproduct_subtype")),
    Rule("target_class", _KNOWN_ONLY_IF_STATED, _stated("target_class")),
    Rule("obs_creation_date", "When the package was recorded in the operations database.", core.PACKAGE.c.created_at),
    Rule(
        "obs_creator_name",
        "As stated, else the full name of the telescope.",
        _stated("obs_creator_name", core.TELESCOPE.c.name),
    ),
    Rule("obs_title", "As stated, else made of target (or programme), instrument, date of t_min and sequence number."),
    Rule("publisher_id", "The publisher's own identifier, from the settings.", _PUBLISHER_ID),
    Rule("bib_reference", _KNOWN_ONLY_IF_STATED, _stated("bib_reference")),
    Rule(
        "data_rights",
        "Computed in the view at the moment of the query: secure if declared so; else public when declared so or when "
        "obs_release_date has passed; else proprietary.",
    ),
    Rule(
        "obs_release_date",
        "As stated, else by the rule of the sub-programme, else by the rule of the programme: a date, or calendar "
        "months after t_max (after t_min where t_max is NULL). NULL without a rule: closed.",
    ),
    Rule("s_ucd", "pos.eq where there is a position."),
    Rule("s_unit", "deg where there is a position."),
    Rule("s_pixel_scale", _KNOWN_ONLY_IF_STATED, _stated("s_pixel_scale")),
    Rule("s_calib_status", "raw, for positions as commanded, where there is a position."),
    Rule("t_calib_status", "raw, for times as the control system wrote them, where there are times."),
    Rule("em_ucd", "em.wl where there is a band."),
    Rule("em_unit", "m where there is a band."),
    Rule("em_calib_status", "calibrated where the module is heterodyne, since its oscillator is; else uncalibrated."),
    Rule("em_resolution", "Mean wavelength over em_res_power."),
    Rule("o_unit", _KNOWN_ONLY_IF_STATED, _stated("o_unit")),
    Rule("proposal_id", "The proposal of the observing programme.", core.PROGRAM.c.proposal_id),
)

_NOT_FOR_A_SINGLE_DISH = "NULL: a single dish has no baselines."
_RADIO: tuple[Rule, ...] = (
    Rule("s_resolution_min", "As stated, else s_resolution scaled from mid-band to the highest frequency."),
    Rule("s_resolution_max", "As stated, else s_resolution scaled from mid-band to the lowest frequency."),
    Rule("s_fov_min", "As stated, else the module's field.", _stated("s_fov_min", core.MODULE.c.fov_deg)),
    Rule("s_fov_max", "As stated, else the module's field.", _stated("s_fov_max", core.MODULE.c.fov_deg)),
    Rule("f_resolution", "As stated, else the channel width, else frequency at mid-band over em_res_power."),
    Rule("s_largest_angular_scale", _KNOWN_ONLY_IF_STATED, _stated("s_largest_angular_scale")),
    Rule("s_largest_angular_scale_min", "NULL: not known.", _nothing()),
    Rule("s_largest_angular_scale_max", "NULL: not known.", _nothing()),
    Rule("uv_distance_min", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("uv_distance_max", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("uv_distribution_ecc", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("uv_distribution_fill", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("instr_tel_number", "1.", sa.literal(1)),
    Rule("instr_tel_min_dist", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("instr_tel_max_dist", _NOT_FOR_A_SINGLE_DISH, _nothing()),
    Rule("instr_tel_diameter", "Diameter of the telescope.", core.TELESCOPE.c.diameter_m),
    Rule(
        "instr_feed",
        "As stated, else the number of pixels of the module.",
        _stated("instr_feed", core.MODULE.c.pixel_count),
    ),
    Rule(
        "scan_mode",
        "As stated, else as the observing mode says.",
        _stated("scan_mode", _text(core.MODE.c.scan_mode)),
    ),
    Rule(
        "tracking_type",
        "As stated, else as the observing mode says, else by the kind of source, spelled as in the radio extension.",
        _tracking_type(),
    ),
)

MAPPING: tuple[Rule, ...] = _OBSCORE + _RADIO
"""One rule per column of ivoa.obscore, then one per further column of ivoa.obscore_radio, in their order."""

DERIVATIONS: tuple[Derivation, ...] = (
    derive_times,
    derive_spectral_axis,
    derive_spatial_axis,
    derive_release_date,
    derive_texts,
)
"""In the order in which they build upon each other; together they yield every column without an expression."""


def _input_columns() -> dict[str, Expression]:
    """What the derivations read, by the name under which they read it."""
    stated = (
        *("t_min", "t_max", "t_exptime", "em_min", "em_max", "em_res_power", "em_xel", "f_resolution"),
        *("s_resolution_min", "s_resolution_max", "s_ra", "s_dec", "s_fov", "s_region", "obs_title"),
        "obs_release_date",
    )
    drift = (
        "azimuth_min_deg",
        "azimuth_max_deg",
        "elevation_deg",
        "ra_min_deg",
        "ra_max_deg",
        "dec_min_deg",
        "dec_max_deg",
    )
    module = ("frequency_min_ghz", "frequency_max_ghz", "beam_fwhm_arcsec", "fov_deg", "resolving_power")
    return {
        **{f"stated_{name}": core.METADATA.c[name] for name in stated},
        "unit_start": core.UNIT.c.start_time,
        "unit_end": core.UNIT.c.end_time,
        "unit_elevation_deg": core.UNIT.c.elevation_deg,
        "fixed_ra_deg": core.FIXED.c.ra_deg,
        "fixed_dec_deg": core.FIXED.c.dec_deg,
        "fixed_extent_deg": core.FIXED.c.extent_deg,
        "solar_system_body": core.SOLAR_SYSTEM.c.body,
        "drift_id": core.DRIFT.c.id,
        **{f"drift_{name}": core.DRIFT.c[name] for name in drift},
        **{f"module_{name}": core.MODULE.c[name] for name in module},
        "module_kind": _text(core.MODULE.c.kind),
        "line_frequency_ghz": core.CHAI.c.line_frequency_ghz,
        "line_bandwidth_ghz": core.CHAI.c.bandwidth_ghz,
        "channel_width_khz": core.CHANNEL_WIDTH_KHZ,
        "telescope_latitude_deg": core.TELESCOPE.c.latitude_deg,
        "telescope_longitude_deg": core.TELESCOPE.c.longitude_deg,
        "telescope_altitude_m": core.TELESCOPE.c.altitude_m,
        "sub_release_date": core.SUB_PROGRAM.c.release_date,
        "sub_release_months": core.SUB_PROGRAM.c.release_months,
        "program_release_date": core.PROGRAM.c.release_date,
        "program_release_months": core.PROGRAM.c.release_months,
        "sequence": core.PACKAGE.c.sequence,
    }


INPUTS: dict[str, Expression] = _input_columns()


def mapping_digest() -> str:
    """A digest of the mapping: it changes when a package must be resolved anew although nothing was written."""
    rules = [f"{rule.column}\t{rule.source}\t{rule.expression}" for rule in MAPPING]
    inputs = [f"{name}\t{expression}" for name, expression in INPUTS.items()]
    return hashlib.sha256("\n".join([str(_REVISION), *rules, *inputs]).encode()).hexdigest()


def render_mapping() -> str:
    """The mapping as a Markdown page: docs/reference/obscore-mapping.md."""
    introduction = (
        "Made from `catalog/obscore/mapping.py`; a test compares. *Stated* means: in the package's row of "
        "`raw_data_package_metadata`, which overrides what is derived."
    )
    lines = ["# Where each ObsCore column comes from", "", introduction]
    sentences = {rule.column: rule.source for rule in MAPPING}
    for name in (TABLE, RADIO_TABLE):
        lines += ["", f"## {name}", "", "| column | unit | source |", "|---|---|---|"]
        for column in published_table(name).columns:
            lines.append(f"| `{column.name}` | {column.unit or ''} | {sentences[column.name]} |")
    return "\n".join([*lines, ""])
