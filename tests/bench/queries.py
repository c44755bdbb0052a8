"""What is asked: rows by the million, small queries, and those that astronomers are likeliest to send."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

__all__ = ["COUNTS", "EVERYTHING", "JOINED", "Sample", "cone", "likeliest", "literal_sql", "small_queries"]

EVERYTHING = "SELECT * FROM ivoa.obscore"
JOINED = """
SELECT o.*, c.site_key, c.location_type, c.copy_status, c.verified_at
FROM ivoa.obscore AS o JOIN fyst.copies AS c ON c.obs_publisher_did = o.obs_publisher_did
"""
"""Rows as wide as those of ivoa.obscore, as many as there are copies."""

COUNTS = {
    "all": "SELECT COUNT(*) AS n FROM ivoa.obscore",
    "instrument": "SELECT instrument_name, COUNT(*) AS n FROM ivoa.obscore GROUP BY instrument_name",
    "program": "SELECT proposal_id, COUNT(*) AS n, SUM(t_exptime) AS s FROM ivoa.obscore GROUP BY proposal_id",
    "month": "SELECT FLOOR(t_min / 30) AS m, COUNT(*) AS n FROM ivoa.obscore GROUP BY FLOOR(t_min / 30)",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One package of those there are, to ask for."""

    did: str
    obs_id: str
    target: str
    instrument: str
    ra: float
    dec: float
    t_min: float


def cone(radius: float, sample: Sample, columns: str = "*") -> str:
    """What lies around the sample."""
    return (
        f"SELECT {columns} FROM ivoa.obscore "
        f"WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE({sample.ra!r}, {sample.dec!r}, {radius}))"
    )


def small_queries(sample: Sample) -> dict[str, str]:
    """Those that clients send all day long."""
    return {
        "top10": "SELECT TOP 10 * FROM ivoa.obscore",
        "did": f"SELECT * FROM ivoa.obscore WHERE obs_publisher_did = '{sample.did}'",
        "cone": cone(1, sample).replace("SELECT *", "SELECT TOP 20 *"),
    }


def likeliest(sample: Sample) -> dict[str, str]:
    """What astronomers, their programs and data centres send most; an index serves each of these."""
    obscore, copies = "SELECT * FROM ivoa.obscore", "fyst.copies AS c ON c.obs_publisher_did = o.obs_publisher_did"
    circle = f"CIRCLE({sample.ra!r}, {sample.dec!r}, 0.2)"
    late = "SELECT TOP 100 * FROM ivoa.obscore"
    point = f"POINT({sample.ra!r}, {sample.dec!r})"
    return {
        "top": "SELECT TOP 10 * FROM ivoa.obscore",
        "cone": cone(0.5, sample),
        "cone by distance": f"{obscore} WHERE DISTANCE(POINT(s_ra, s_dec), {point}) < 0.5",
        "region holds a point": f"{obscore} WHERE 1 = CONTAINS({point}, s_region)",
        "region meets a circle": f"{obscore} WHERE 1 = INTERSECTS(s_region, {circle})",
        "polygon": f"{obscore} WHERE 1 = CONTAINS(POINT(s_ra, s_dec), POLYGON({sample.ra!r}, {sample.dec!r}, "
        f"{sample.ra + 1!r}, {sample.dec!r}, {sample.ra + 1!r}, {sample.dec + 1!r}))",
        "box of coordinates": f"{obscore} WHERE s_ra BETWEEN {sample.ra!r} AND {sample.ra + 0.1!r} "
        f"AND s_dec BETWEEN {sample.dec!r} AND {sample.dec + 0.1!r}",
        "did": f"{obscore} WHERE obs_publisher_did = '{sample.did}'",
        "several dids": f"{obscore} WHERE obs_publisher_did IN ('{sample.did}', '{sample.did[:-1]}0')",
        "obs_id": f"{obscore} WHERE obs_id = '{sample.obs_id}'",
        "time range": f"{obscore} WHERE t_min BETWEEN {sample.t_min!r} AND {sample.t_min + 0.1!r}",
        "a moment": f"{obscore} WHERE t_min <= {sample.t_min!r} AND t_max >= {sample.t_min!r} "
        f"AND t_min > {sample.t_min - 0.5!r}",
        "latest": f"{late} ORDER BY t_min DESC",
        "target": f"{late} WHERE target_name = '{sample.target}'",
        "target and instrument": f"{late} WHERE target_name = '{sample.target}' "
        f"AND instrument_name = '{sample.instrument}'",
        "released lately": f"{late} WHERE obs_release_date > '2020-01-01T00:00:00' ORDER BY obs_release_date DESC",
        "cone, time and band": f"{cone(2, sample)} AND t_min > {sample.t_min - 30!r} AND em_min < 0.001",
        "copies of a package": f"SELECT o.obs_publisher_did, c.* FROM ivoa.obscore AS o JOIN {copies} "
        f"WHERE o.obs_publisher_did = '{sample.did}'",
        "copies around a position": f"SELECT o.obs_publisher_did, c.site_key FROM ivoa.obscore AS o JOIN {copies} "
        f"WHERE 1 = CONTAINS(POINT(o.s_ra, o.s_dec), {circle})",
        "package": f"SELECT * FROM fyst.packages WHERE obs_publisher_did = '{sample.did}'",
        "files of a package": f"SELECT * FROM fyst.files WHERE obs_publisher_did = '{sample.did}'",
    }


def literal_sql(text: str, values: tuple[tuple[str, object], ...]) -> str:
    """SQL of an explanation with its values in it."""
    for name, value in sorted(values, key=lambda pair: -len(pair[0])):
        text = text.replace(name, sql.Literal(value).as_string(None))
    return text
