"""Packages of every kind: each row of the view equals a record worked out here, by hand, from the ORM objects."""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, UnitSphericalRepresentation, get_body_barycentric
from astropy.time import Time
from astropy.utils.iers import conf as iers_conf

from catalog.db import Database
from catalog.obscore.resolved_table import CAP_COLUMNS, VECTOR_COLUMNS
from catalog.opsdb.enums import DataRights, ScanMode, TrackingType
from catalog.opsdb.models import (
    ConstantElevationSource,
    FixedSource,
    RawDataPackage,
    SolarSystemObject,
)

LIGHT = 299_792_458.0
BASE_URL = "https://data.example.org/catalog"
START = datetime(2026, 3, 31, 22, 15, 30, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)
POSITION = ("s_ra", "s_dec", "s_fov", "s_region")


@pytest.fixture(autouse=True)
def _no_downloads() -> Iterator[None]:
    with iers_conf.set_temp("auto_download", False):
        yield


def kinds(world: Any) -> dict[str, RawDataPackage]:
    """One package of every kind, by name."""
    w, unit, package = world, world.unit, world.package
    otf = {"obs_mode": w.otf}
    tuned = {"configuration": w.co43, "module_configurations": [w.fine]}
    after_leap_day = {"start": datetime(2028, 2, 29, 12, tzinfo=UTC), "end": datetime(2028, 2, 29, 13, tzinfo=UTC)}
    stated = {
        "s_ra": 12.5,
        "s_dec": 41.25,
        "s_fov": 0.5,
        "t_min": 61000.25,
        "t_max": 61000.5,
        "t_exptime": 321.0,
        "em_min": 1e-4,
        "em_max": 4e-4,
        "target_name": "Zwicky's <knot> & ünknown",
        "obs_collection": "Other",
        "dataproduct_type": "cube",
        "calib_level": 2,
        "obs_title": "a title",
        "pol_states": "/I/",
        "instrument_name": "Some/Thing",
        "facility_name": "APEX",
        "o_ucd": "phot.flux.density",
        "s_resolution": 20.0,
        "instr_feed": 7,
        "scan_mode": ScanMode.SKYDIP,
        "tracking_type": TrackingType.SOLAR_SYSTEM_OBJECT_TRACKING,
        "bib_reference": "2026A&A...1....1X",
        "target_class": "Galaxy",
        "t_resolution": 0.002,
        "t_xel": 123_456_789_012,
        "obs_release_date": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    }
    return {
        "fixed": package(unit(w.orion), files=3),
        "fixed, mapped area": package(unit(w.field, obs_unit=otf), files=1, copies=2),
        "near the pole": package(unit(w.pole)),
        "solar system": package(unit(w.jupiter)),
        "body without ephemeris": package(unit(w.ceres)),
        "scan across RA 0": package(unit(w.stripe, program=w.closed, azimuth_deg=150.0, elevation_deg=48.0)),
        "planned field": package(unit(w.bounds, program=w.closed)),
        "without coordinates": package(unit(None, program=w.cal)),
        "line": package(unit(w.orion, obs_unit=tuned), w.lfa, files=2),
        "line of the other module": package(unit(w.orion, obs_unit=tuned), w.hfa),
        "heterodyne, not tuned": package(unit(w.orion), w.lfa),
        "house-keeping": package(unit(None), w.weather),
        "stated": package(unit(w.orion), metadata=stated, files=1),
        "stated circle": package(unit(None), metadata={"s_region": "circle 10 20 0.25"}),
        "stated polygon": package(unit(w.orion), metadata={"s_region": "POLYGON ICRS 1 1 359 1 359 -1 1 -1"}),
        "stated nonsense": package(unit(w.orion), metadata={"s_region": "UNION ICRS (…)"}),
        "running": package(unit(w.orion, end=None), files=2),
        "running, body": package(unit(w.jupiter, end=None)),
        "without dates": package(unit(w.orion, start=None, end=None)),
        "files without exposure": package(unit(w.orion), files=2, exptime=None),
        "FITS": package(unit(w.orion), content_format="Application/FITS"),
        "FITS with parameters": package(unit(w.orion), content_format="image/fits;compression=gzip"),
        "HDF5": package(unit(w.orion), content_format="application/x-hdf5"),
        "second part": package(unit(w.orion), sequence=1),
        "superseding": package(unit(w.orion), sequence=2),
        "sub-programme": package(unit(w.orion, obs_unit={"sub_program": w.deep})),
        "sub-programme without rule": package(unit(w.orion, obs_unit={"sub_program": w.shallow})),
        "leap day": package(unit(w.orion, **after_leap_day)),
        "secure": package(unit(w.orion, program=w.cal), metadata={"data_rights": DataRights.SECURE}),
        "declared public": package(unit(w.orion, program=w.closed), metadata={"data_rights": DataRights.PUBLIC}),
        "proprietary but released": package(
            unit(w.orion, program=w.cal), metadata={"data_rights": DataRights.PROPRIETARY}
        ),
        "without copies": package(unit(w.orion), copies=0),
        "one byte": package(unit(w.orion), size=1),
        "empty": package(unit(w.orion), size=0),
    }


def expected_row(package: RawDataPackage) -> dict[str, Any]:
    """What the view must show, except for the position."""
    unit, module = package.executed_obs_unit, package.instrument_module
    planned, instrument = unit.obs_unit, module.instrument
    own = package.package_metadata
    did = f"ivo://org.example.fyst/raw?{package.id}"
    kind = module.kind.value
    t_min, t_max = expected_times(package)
    em_min, em_max, middle, is_tuned = expected_band(package)
    channel = 100.0 if module.name == "LFA" and planned.module_configurations else None
    power = middle * 1e6 / channel if channel and middle else module.resolving_power
    pol = stated(own, "pol_states", module.pol_states)
    name = stated(own, "instrument_name", f"{instrument.name}/{module.name}")
    target = stated(own, "target_name", planned.source.name if planned.source else None)
    collection = stated(own, "obs_collection", planned.program.short_name)
    release = expected_release(package, t_min, t_max)
    beam = stated(own, "s_resolution", module.beam_fwhm_arcsec)
    has_copy = package.id in COPIED
    return {
        "dataproduct_type": stated(
            own, "dataproduct_type", {"detector_stream": "timeseries", "heterodyne": "spectrum"}.get(kind)
        ),
        "calib_level": stated(own, "calib_level", int("fits" in (package.content_format or "").lower())),
        "obs_collection": collection,
        "obs_id": str(unit.id),
        "obs_publisher_did": did,
        "access_url": f"{BASE_URL}/datalink/links?ID=ivo%3A%2F%2Forg.example.fyst%2Fraw%3F{package.id}"
        if has_copy
        else None,
        "access_format": "application/x-votable+xml;content=datalink" if has_copy else None,
        "access_estsize": math.ceil((package.size_bytes or 0) / 1000),
        "target_name": target,
        "s_resolution": beam,
        "s_xel1": None,
        "s_xel2": None,
        "t_min": t_min,
        "t_max": t_max,
        "t_exptime": expected_exposure(package, t_min, t_max),
        "t_resolution": stated(own, "t_resolution", None),
        "t_xel": stated(own, "t_xel", None),
        "em_min": em_min,
        "em_max": em_max,
        "em_res_power": power,
        "em_xel": 40000 if is_tuned and channel else None,
        "o_ucd": stated(own, "o_ucd", None if kind == "other" else "phys.voltage"),
        "pol_states": pol,
        "pol_xel": len(pol.strip("/").split("/")) if pol else 0,
        "facility_name": stated(own, "facility_name", "FYST"),
        "instrument_name": name,
        "dataproduct_subtype": None,
        "target_class": stated(own, "target_class", None),
        "obs_creation_date": package.created_at.replace(tzinfo=None),
        "obs_creator_name": "Fred Young Submillimeter Telescope",
        "obs_title": stated(own, "obs_title", expected_title(target, collection, name, t_min, package.sequence)),
        "publisher_id": "ivo://org.example.fyst",
        "bib_reference": stated(own, "bib_reference", None),
        "data_rights": expected_rights(package, release),
        "obs_release_date": release,
        "s_pixel_scale": None,
        "t_calib_status": "raw" if t_min else None,
        "em_ucd": "em.wl" if em_min else None,
        "em_unit": "m" if em_min else None,
        "em_calib_status": ("calibrated" if kind == "heterodyne" else "uncalibrated") if em_min else None,
        "em_resolution": (em_min + em_max) / 2 / power if em_min and power else None,
        "o_unit": None,
        "proposal_id": planned.program.proposal_id,
        "s_resolution_min": beam * middle / (LIGHT / em_min / 1e9) if beam and em_min else None,
        "s_resolution_max": beam * middle / (LIGHT / em_max / 1e9) if beam and em_min else None,
        "s_fov_min": module.fov_deg,
        "s_fov_max": module.fov_deg,
        "f_resolution": channel or (middle * 1e6 / power if power and middle else None),
        **dict.fromkeys(("s_largest_angular_scale", "s_largest_angular_scale_min", "s_largest_angular_scale_max")),
        **dict.fromkeys(("uv_distance_min", "uv_distance_max", "uv_distribution_ecc", "uv_distribution_fill")),
        **dict.fromkeys(("instr_tel_min_dist", "instr_tel_max_dist")),
        "instr_tel_number": 1,
        "instr_tel_diameter": 6.0,
        "instr_feed": stated(own, "instr_feed", module.pixel_count),
        "scan_mode": getattr(
            stated(own, "scan_mode", planned.obs_mode.scan_mode if planned.obs_mode else None), "value", None
        ),
        "tracking_type": expected_tracking(package),
    }


COPIED: set[Any] = set()


def stated(own: Any, name: str, otherwise: Any) -> Any:
    value = getattr(own, name) if own is not None else None
    return otherwise if value is None else value


def mjd(moment: datetime | None) -> float | None:
    return None if moment is None else float(Time(moment, scale="utc").mjd)


def expected_times(package: RawDataPackage) -> tuple[float | None, float | None]:
    unit, own = package.executed_obs_unit, package.package_metadata
    starts = [file.start_time for file in package.files if file.start_time]
    ends = [file.end_time for file in package.files if file.end_time]
    t_min = stated(own, "t_min", mjd(min(starts, default=unit.start_time)))
    end = None if unit.start_time and not unit.end_time else max(ends, default=unit.end_time)
    return t_min, stated(own, "t_max", mjd(end))


def expected_exposure(package: RawDataPackage, t_min: float | None, t_max: float | None) -> float | None:
    times = [file.exptime_s for file in package.files]
    total = sum(t for t in times if t is not None) if times and None not in times else None
    span = (t_max - t_min) * 86400 if t_min and t_max else None
    known = [value for value in (total, span) if value is not None]
    value = stated(package.package_metadata, "t_exptime", min(known, default=None))
    return None if value is None else float(value)


def expected_band(package: RawDataPackage) -> tuple[float | None, float | None, float | None, bool]:
    """Wavelengths, middle frequency, and whether a line was tuned in the module's band."""
    module, own = package.instrument_module, package.package_metadata
    low, high = module.frequency_min_ghz, module.frequency_max_ghz
    tuned = package.executed_obs_unit.obs_unit.configuration
    is_tuned = tuned is not None and low is not None and low <= tuned.line_frequency_ghz <= high
    if is_tuned:
        low, high = tuned.line_frequency_ghz - 2.0, tuned.line_frequency_ghz + 2.0
    em_min = stated(own, "em_min", None if high is None else LIGHT / (high * 1e9))
    em_max = stated(own, "em_max", None if low is None else LIGHT / (low * 1e9))
    middle = None if em_min is None else (LIGHT / em_min + LIGHT / em_max) / 2e9
    return em_min, em_max, middle, is_tuned


def expected_release(package: RawDataPackage, t_min: float | None, t_max: float | None) -> datetime | None:
    own, planned = package.package_metadata, package.executed_obs_unit.obs_unit
    if own is not None and own.obs_release_date:
        return own.obs_release_date.replace(tzinfo=None)
    rules = [rule for rule in (planned.sub_program, planned.program) if rule is not None]
    rule = next((r for r in rules if r.release_date or r.release_months is not None), None)
    if rule is None:
        return None
    if rule.release_date:
        return rule.release_date.replace(tzinfo=None)
    observed = t_max or t_min
    if observed is None:
        return None
    moment = Time(observed, format="mjd", scale="utc").to_datetime()
    year, month = divmod(moment.year * 12 + moment.month - 1 + rule.release_months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def expected_rights(package: RawDataPackage, release: datetime | None) -> str:
    own = package.package_metadata
    declared = own.data_rights if own is not None else None
    if declared is DataRights.SECURE:
        return "secure"
    is_released = release is not None and release <= datetime.now(UTC).replace(tzinfo=None)
    return "public" if declared is DataRights.PUBLIC or is_released else "proprietary"


def expected_title(target: str | None, collection: str, name: str, t_min: float | None, sequence: int) -> str:
    title = f"{target or collection + ' observation'} with {name}"
    if t_min:
        title += f", {Time(t_min, format='mjd').to_datetime():%Y-%m-%d}"
    return title + (f", part {sequence + 1}" if sequence else "")


def expected_tracking(package: RawDataPackage) -> str | None:
    own = package.package_metadata
    if own is not None and own.tracking_type:
        return "Solar-system-object-tracking"
    source = package.executed_obs_unit.obs_unit.source
    spelled = {
        FixedSource: "sidereal",
        SolarSystemObject: "Solar-system-object-tracking",
        ConstantElevationSource: "fixed-az-el-transit",
    }
    return spelled.get(type(source))


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, datetime) and isinstance(found, str):
        found = datetime.fromisoformat(found)
    if isinstance(wanted, datetime) and isinstance(found, datetime):
        return abs(found - wanted) <= timedelta(microseconds=50)
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-9) or math.isclose(found, wanted, abs_tol=2e-5)
    return type(found) is type(wanted) and bool(found == wanted)


@pytest.fixture
def published(catalog: Database, world: Any, read_view: Callable[..., Any]) -> dict[str, Any]:
    """Every kind with its package and its row of both views together."""
    made = kinds(world)
    made["superseding"].supersedes = made["second part"]
    world.session.commit()
    COPIED.clear()
    COPIED.update(package.id for name, package in made.items() if name != "without copies")
    obscore = {row["obs_publisher_did"]: row for row in read_view(catalog, "ivoa.obscore")}
    radio = {row["obs_publisher_did"]: row for row in read_view(catalog, "ivoa.obscore_radio")}
    assert obscore.keys() == radio.keys()
    dids = {name: f"ivo://org.example.fyst/raw?{package.id}" for name, package in made.items()}
    return {name: (made[name], obscore[did] | radio[did]) for name, did in dids.items()}


def test_each_row_equals_the_record_worked_out_by_hand(published: dict[str, Any]) -> None:
    wrong = []
    for name, (package, row) in published.items():
        wanted = expected_row(package)
        described = set(row) - set(POSITION) - {"s_ucd", "s_unit", "s_calib_status"}
        assert described - {
            "obscore_key",
            "observing_program_id",
            "declared_rights",
            *VECTOR_COLUMNS,
            *CAP_COLUMNS,
        } == set(wanted)
        wrong += [(name, c, row[c], value) for c, value in wanted.items() if not same(row[c], value)]
    assert wrong == []


FIXED = {
    # name: right ascension, declination, diameter, region
    "fixed": (83.80995, -5.374361, 1.3, "CIRCLE ICRS 83.80995 -5.374361 0.65"),
    "fixed, mapped area": (150.119, 2.2058, 3.0, "CIRCLE ICRS 150.119 2.2058 1.5"),
    "near the pole": (359.9999, -89.9, 1.3, "CIRCLE ICRS 359.9999 -89.9 0.65"),
    "line": (83.80995, -5.374361, 0.125, "CIRCLE ICRS 83.80995 -5.374361 0.0625"),
    "stated": (12.5, 41.25, 0.5, "CIRCLE ICRS 12.5 41.25 0.25"),
    "stated circle": (10.0, 20.0, 0.5, "CIRCLE ICRS 10 20 0.25"),
    "stated nonsense": (83.80995, -5.374361, 1.3, "CIRCLE ICRS 83.80995 -5.374361 0.65"),
    "without coordinates": (None, None, None, None),
    "house-keeping": (None, None, None, None),
    "body without ephemeris": (None, None, None, None),
}


def test_positions_of_fixed_sources_and_of_nothing(published: dict[str, Any]) -> None:
    for name, wanted in FIXED.items():
        row = published[name][1]
        assert tuple(row[column] for column in POSITION) == wanted, name
        words = (None, None, None) if wanted[0] is None else ("pos.eq", "deg", "raw")
        assert (row["s_ucd"], row["s_unit"], row["s_calib_status"]) == words


def test_stated_polygon_is_wound_as_dali_wants_and_gives_the_centre(published: dict[str, Any]) -> None:
    row = published["stated polygon"][1]

    # From the north-east corner down, then west: counter-clockwise with north up and east left.
    assert row["s_region"] == "POLYGON ICRS 1 1 1 -1 359 -1 359 1"
    assert SkyCoord(row["s_ra"], row["s_dec"], unit="deg").separation(SkyCoord(0, 0, unit="deg")).arcsec < 1e-3
    assert row["s_fov"] == pytest.approx(2 * math.degrees(math.acos(math.cos(math.radians(1)) ** 2)), rel=1e-6)


def test_body_stands_where_astropy_puts_it_at_mid_package(published: dict[str, Any]) -> None:
    for name, moment in (("solar system", START + HOUR / 2), ("running, body", START)):
        row = published[name][1]
        wanted = astrometric("jupiter", Time(moment, scale="utc"))
        found = SkyCoord(row["s_ra"], row["s_dec"], unit="deg")
        assert found.separation(wanted).arcsec < 3, name  # parallax on the Earth: 2 arcsec
        assert row["s_region"].startswith("CIRCLE ICRS ")
        assert row["s_fov"] == 1.3


def astrometric(body: str, time: Time) -> SkyCoord:
    """Direction of a body from the centre of the Earth, light time included."""
    earth = get_body_barycentric("earth", time)
    delay = 0 * u.day
    for _ in range(3):
        line = get_body_barycentric(body, time - delay) - earth
        delay = (line.norm() / (LIGHT * u.m / u.s)).to(u.day)
    return SkyCoord(line.represent_as(UnitSphericalRepresentation), frame="icrs")


def test_envelope_of_a_scan_across_ra_zero_holds_every_pointing(published: dict[str, Any]) -> None:
    _, row = published["scan across RA 0"]
    site = EarthLocation.from_geodetic(-67.740278 * u.deg, -22.985639 * u.deg, 5611.8 * u.m)
    times = Time(START, scale="utc") + np.linspace(0, 3600, 13) * u.s
    az, when = np.meshgrid(np.linspace(130, 170, 9), np.arange(13))
    frame = AltAz(obstime=times[when.ravel()], location=site)
    sky = SkyCoord(az.ravel() * u.deg, np.full(az.size, 48.0) * u.deg, frame=frame).icrs  # as executed, not as planned
    pointings = sky.cartesian.xyz.value.T
    corners = polygon_vectors(row["s_region"])
    centre = SkyCoord(row["s_ra"], row["s_dec"], unit="deg").cartesian.xyz.value

    edges = np.cross(corners, np.roll(corners, -1, axis=0))  # clockwise from outside: the inside is on the right
    depth = np.degrees(np.arcsin((pointings @ edges.T) / np.linalg.norm(edges, axis=1)))

    assert (depth < 0).all()
    assert depth.max() == pytest.approx(-0.65, abs=0.1)  # half a field of view beyond the outermost pointing
    assert np.degrees(np.arccos((corners @ centre).min())) == pytest.approx(row["s_fov"] / 2, abs=1e-4)
    assert np.ptp(sky.ra.wrap_at(180 * u.deg).deg) > 10
    assert np.degrees(np.arccos(centre @ unit(pointings.mean(axis=0)))) < 3


def test_planned_field_across_ra_zero_is_outlined_along_its_parallels(published: dict[str, Any]) -> None:
    _, row = published["planned field"]
    numbers = np.array(row["s_region"].split()[2:], dtype=float).reshape(-1, 2)
    east = [*range(340, 360, 5), *range(0, 31, 5)]

    assert {tuple(vertex) for vertex in numbers} == {(ra, dec) for ra in east for dec in (-5, 5)}
    assert len(numbers) == 2 * len(east)
    assert np.abs(np.diff(numbers[:, 1])).sum() <= 20  # along one parallel, over, and back along the other
    assert row["s_ra"] == pytest.approx(5.0, abs=1e-6)
    assert row["s_dec"] == pytest.approx(0.0, abs=1e-6)
    assert 50 < row["s_fov"] < 52


def polygon_vectors(region: str) -> Any:
    shape, frame, *numbers = region.split()
    assert (shape, frame) == ("POLYGON", "ICRS")
    pairs = np.array(numbers, dtype=float).reshape(-1, 2)
    assert (pairs[:, 0] >= 0).all()
    assert (pairs[:, 0] < 360).all()
    return SkyCoord(pairs[:, 0], pairs[:, 1], unit="deg").cartesian.xyz.value.T


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


ALWAYS = {
    *("calib_level", "obs_collection", "obs_id", "obs_publisher_did", "access_estsize", "pol_xel", "facility_name"),
    *("instrument_name", "obs_title", "obs_creator_name", "publisher_id", "obs_creation_date", "data_rights"),
    *("instr_tel_number", "instr_tel_diameter"),
}
SKY = {"s_ra", "s_dec", "s_fov", "s_region", "target_name", "s_ucd", "s_unit", "s_calib_status", "tracking_type"}
BAND = {"em_min", "em_max", "em_ucd", "em_unit", "em_calib_status", "s_resolution", "o_ucd", "dataproduct_type"}
BAND |= {"s_resolution_min", "s_resolution_max", "s_fov_min", "s_fov_max", "instr_feed"}
LINE = {"em_res_power", "em_resolution", "f_resolution"}
TIME = {"t_min", "t_max", "t_exptime", "t_calib_status"}
ACCESS = {"access_url", "access_format"}
NEVER_NULL = {
    "fixed": ALWAYS | SKY | BAND | TIME | ACCESS | {"pol_states", "obs_release_date"},
    "solar system": ALWAYS | SKY | BAND | TIME | ACCESS | {"pol_states", "obs_release_date"},
    "scan across RA 0": ALWAYS | SKY | BAND | TIME | ACCESS | {"pol_states"},
    "planned field": ALWAYS | SKY | BAND | TIME | ACCESS | {"pol_states"},
    "without coordinates": ALWAYS | BAND | TIME | ACCESS | {"pol_states", "obs_release_date"},
    "line": ALWAYS | SKY | BAND | TIME | ACCESS | LINE | {"em_xel", "obs_release_date"},
    "heterodyne, not tuned": ALWAYS | SKY | BAND | TIME | ACCESS | LINE,
    "house-keeping": ALWAYS | TIME | ACCESS,
    "running": ALWAYS | SKY | BAND | ACCESS | {"t_min", "t_calib_status"},
    "without dates": ALWAYS | SKY | BAND | ACCESS,
    "without copies": ALWAYS | SKY | BAND | TIME,
    "FITS": ALWAYS | SKY | BAND | TIME | ACCESS,
}


def test_columns_that_a_kind_always_has(published: dict[str, Any]) -> None:
    missing = {
        name: {column for column in columns if published[name][1][column] is None}
        for name, columns in NEVER_NULL.items()
    }

    assert missing == {name: set() for name in NEVER_NULL}
