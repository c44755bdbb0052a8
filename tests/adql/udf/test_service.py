"""The functions over the published tables, for the login that may only read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from astropy import units
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from mocpy import MOC
from psycopg import sql

from catalog import Catalog
from catalog.adql.translate import translate
from catalog.settings import load_settings


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A synthetic observatory, read by a login without rights on what lies behind the published tables."""
    settings = load_settings()
    if request.param == "sqlite":
        settings = settings.with_database(f"sqlite:///{tmp_path_factory.mktemp('service')}/catalog.db")
    else:
        server: Any = request.getfixturevalue("postgres_server")
        url = server.create_database()
        # as a careful administrator sets it: nobody may call what is made here unless told so
        server.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"), url.rpartition("/")[2]
        )
        database = settings.with_database(url).database
        public = database.model_copy(update={"public_url": type(database.url)(server.reader_url(url))})
        settings = settings.model_copy(update={"database": public})
    with Catalog(settings) as opened:
        opened.init()
        opened.load_synthetic(packages=200, seed=3)
        yield opened


def rows(catalog: Catalog, adql: str) -> list[tuple[Any, ...]]:
    found = catalog.query(adql).read_all()
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_a_map_of_the_packages(catalog: Catalog) -> None:
    found = rows(
        catalog,
        "SELECT s_ra, s_dec, ivo_healpix_index(6, s_ra, s_dec), ivo_healpix_index(6, POINT(s_ra, s_dec)) "
        "FROM ivoa.obscore WHERE s_ra IS NOT NULL",
    )
    assert len(found) > 100
    for ra, dec, cell, same in found:
        expected = HEALPix(64, order="nested").lonlat_to_healpix(ra * units.deg, dec * units.deg)
        assert cell == same == expected


def test_packages_in_a_moc_are_found_by_the_index(catalog: Catalog) -> None:
    positions = rows(catalog, "SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore WHERE s_ra IS NOT NULL")
    center = SkyCoord(positions[0][1] * units.deg, positions[0][2] * units.deg)
    moc = MOC.from_cone(center.ra, center.dec, radius=3 * units.deg, max_depth=9)
    query = f"SELECT obs_publisher_did FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra, s_dec), MOC('{moc.to_string()}'))"
    inside = moc.contains_lonlat(*([row[axis] for row in positions] * units.deg for axis in (1, 2)))
    expected = {row[0] for row, found in zip(positions, inside, strict=True) if found}
    assert {row[0] for row in rows(catalog, query)} == expected
    assert 0 < len(expected) < len(positions)
    plan = catalog.database.explain(translate(catalog.tap.resolve(query), dialect=catalog.database.dialect))
    if catalog.database.dialect == "sqlite":
        assert "SCAN package_position" in plan
    else:
        assert "<@" in plan
        assert "scircle" in plan or "Index" in plan


def test_what_was_taken_at_a_time(catalog: Catalog) -> None:
    first = rows(catalog, "SELECT MIN(t_min) FROM ivoa.obscore")[0][0]
    covering = rows(catalog, f"SELECT t_min, t_max FROM ivoa.obscore WHERE 1=ccat_covers_time(t_min, t_max, {first})")
    assert covering
    assert all(begin <= first and (end is None or first <= end) for begin, end in covering)
    dated = rows(catalog, "SELECT ivo_to_mjd(obs_creation_date) FROM ivoa.obscore WHERE obs_creation_date IS NOT NULL")
    assert dated
    assert all(60_000 < day < 65_000 for (day,) in dated)


def test_bands_in_the_words_of_the_radio(catalog: Catalog) -> None:
    query = (
        "SELECT em_min, ccat_wavelength_to_freq(em_min) AS f_max, IN_UNIT(em_min, 'mm'), IN_UNIT(t_exptime, 'min') "
        "FROM ivoa.obscore WHERE em_min IS NOT NULL"
    )
    table = catalog.tap.resolve(query).table
    assert [column.unit for column in table.columns] == ["m", "GHz", "mm", "min"]
    assert table.columns[1].ucd == "em.freq;stat.max"
    for wavelength, frequency, millimetres, _ in rows(catalog, query):
        assert frequency == pytest.approx(0.299792458 / wavelength)
        assert millimetres == pytest.approx(1000 * wavelength)


def test_instruments_of_each_facility_joined(catalog: Catalog) -> None:
    query = "SELECT facility_name, ivo_string_agg(i, '/') FROM (SELECT DISTINCT facility_name, instrument_name AS i "
    found = rows(catalog, query + "FROM ivoa.obscore) AS q GROUP BY facility_name")
    names = sorted(name for (name,) in rows(catalog, "SELECT DISTINCT instrument_name FROM ivoa.obscore"))
    assert "/".join(names) in [joined for _, joined in found]


def test_a_histogram_of_exposures_goes_out_as_an_array(catalog: Catalog) -> None:
    [(counts, total)] = rows(catalog, "SELECT ivo_histogram(t_exptime, 0, 7200, 4), COUNT(*) FROM ivoa.obscore")
    assert len(counts) == 6
    assert sum(counts) == total


def test_regions_of_packages_in_galactic_coordinates(catalog: Catalog) -> None:
    query = (
        "SELECT TOP 20 s_region, ivo_geom_transform('ICRS', 'GALACTIC', s_region) AS g FROM ivoa.obscore "
        "WHERE s_region IS NOT NULL"
    )
    for region, galactic in rows(catalog, query):
        kind, lon, lat, *_ = galactic.split()
        words = region.replace("ICRS ", "").split()
        place = SkyCoord(float(words[1]) * units.deg, float(words[2]) * units.deg).galactic
        assert kind == words[0]
        assert (float(lon), float(lat)) == pytest.approx((place.l.deg, place.b.deg), abs=1e-9)


def test_functions_are_made_anew_by_every_init(catalog: Catalog) -> None:
    catalog.init()
    assert rows(catalog, "SELECT TOP 1 ivo_healpix_index(0, 1, 1) AS h FROM ivoa.obscore") == [(4,)]
    if catalog.database.dialect == "postgresql":
        with catalog.database.engine.connect() as connection:
            found = connection.execute(sa.text("SELECT count(*) FROM pg_proc WHERE proname = 'ivo_healpix_index'"))
            assert found.scalar() == 1
