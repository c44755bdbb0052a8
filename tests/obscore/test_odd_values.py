"""What no instrument would state, but plain SQL may write: it spoils its own row at most, and never the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.db import Database
from catalog.obscore.comparison import compare_with_fresh
from catalog.obscore.package_obscore import package_obscore
from catalog.obscore.record import read_records, render_document

INF, NAN, TINY, HUGE = math.inf, math.nan, 5e-324, 1e300
ODD: list[dict[str, Any]] = [
    *({"t_min": moment} for moment in (HUGE, -HUGE, 1e18, 1e9, -1e9, 2_461_000.5, INF, -INF, NAN, -0.0)),
    *({"t_max": moment} for moment in (HUGE, INF, NAN)),
    *({"t_exptime": time} for time in (INF, HUGE, 0.0)),
    *({"em_min": low, "em_max": high} for low, high in ((TINY, TINY), (TINY, HUGE), (INF, INF), (1e-3, INF))),
    *({"em_res_power": power} for power in (0.0, -1.0, INF, NAN, TINY)),
    *({name: INF} for name in ("f_resolution", "s_resolution", "s_pixel_scale", "t_resolution", "s_fov_max")),
    *({name: NAN} for name in ("s_fov_min", "s_resolution_min", "s_largest_angular_scale")),
    *({"s_fov": 360.0, "s_ra": 1.0, "s_dec": dec} for dec in (90.0, -90.0, 0.0)),
    {"s_fov": 0.0},
    {"s_ra": 360.0, "s_dec": -0.0},
    *({"s_region": text} for text in ("", "CIRCLE ICRS 1 1 1e300", "CIRCLE ICRS nan nan nan", "CIRCLE 1", "é")),
    *({"s_region": f"POLYGON ICRS {numbers}"} for numbers in ("1 1 1 1 1 1", "0 0 180 0 90 0", "0 0 90 0 180 0 270 0")),
    *({"pol_states": text} for text in ("", "I", "/", "//", "///")),
    *({name: ""} for name in ("obs_title", "target_name", "obs_collection", "instrument_name")),
    {"em_xel": -(2**63), "s_xel1": 2**63 - 1},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_metadata_leave_other_packages_alone_and_no_number_that_is_none(
    catalog: Database, world: Any, read_view: Callable[..., list[dict[str, Any]]], odd: dict[str, Any]
) -> None:
    healthy = world.package(world.unit(world.orion), files=1)
    world.session.commit()
    (before,) = read_view(catalog, "ivoa.obscore")
    for source, module in ((world.orion, world.lfa), (world.jupiter, world.hfa), (world.stripe, world.prime280)):
        world.package(world.unit(source), module, metadata=dict(odd), files=1)
    try:
        world.session.commit()
    except sa.exc.IntegrityError:  # a CHECK keeps it out, which is as well
        assert odd.keys() & {"t_min", "t_max", "em_min"}
        return

    rows = {row["obs_publisher_did"]: row for row in read_view(catalog, "ivoa.obscore")}
    assert len(rows) == 4
    assert rows[f"ivo://org.example.fyst/raw?{healthy.id}"] == before
    doubles = [column.name for column in package_obscore().columns if isinstance(column.type, sa.Double)]
    with catalog.engine.connect() as connection:
        for row in connection.execute(sa.select(*(package_obscore().c[name] for name in doubles))):
            assert [value for value in row if value is not None and not math.isfinite(value)] == []
        assert list(compare_with_fresh(connection)) == []
    for row in rows.values():
        assert row["pol_xel"] >= 0
        assert all(row[name] for name in ("obs_collection", "obs_title", "instrument_name", "target_name"))
    assert len([render_document(record) for record in read_records(catalog)]) == 4


def test_the_largest_sizes_and_exposures_are_published(
    catalog: Database, world: Any, read_view: Callable[..., list[dict[str, Any]]]
) -> None:
    world.package(world.unit(world.orion), size=2**63 - 1, files=2, exptime=1.5e308)
    world.session.commit()

    (row,) = read_view(catalog, "ivoa.obscore")

    assert row["access_estsize"] == 2**63 // 1000 + 1
    assert row["t_exptime"] == pytest.approx(31 * 60)


@pytest.mark.parametrize(
    ("size", "kilobytes"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (50_000_000_000, 50_000_000)]
)
def test_size_is_given_in_thousands_of_bytes_rounded_up(
    catalog: Database, world: Any, read_view: Callable[..., list[dict[str, Any]]], size: int, kilobytes: int
) -> None:
    world.package(world.unit(world.orion), size=size)
    world.session.commit()

    assert [row["access_estsize"] for row in read_view(catalog, "ivoa.obscore")] == [kilobytes]
