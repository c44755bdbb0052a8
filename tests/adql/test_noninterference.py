"""What a caller may not see has no influence on any answer: neither on rows, nor on their number, nor on errors.

Two catalogs agree in everything that a caller may see, and differ in all that is hidden: values, numbers of rows,
copies, plans. Whatever is asked, the answers are the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.access import ANONYMOUS, METADATA_PERMISSION, Caller
from catalog.dali import UploadedFile, UploadedTable
from catalog.errors import CatalogError
from catalog.opsdb.enums import PhysicalCopyStatus
from catalog.opsdb.models import (
    ExecutedObsUnit,
    ObsUnit,
    PackagePublication,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
)
from catalog.settings import AccessSettings, load_settings
from catalog.wiring import Catalog, open_catalog

PACKAGES = 90
COLUMNS = {
    "ivoa.obscore": {
        "whole": ["calib_level", "access_estsize", "t_xel"],
        "real": ["s_ra", "s_dec", "t_exptime", "t_min", "em_min"],
        "text": ["obs_publisher_did", "target_name", "obs_collection", "data_rights", "obs_id"],
        "time": ["obs_release_date"],
    },
    "ivoa.obscore_radio": {"whole": ["instr_feed"], "real": ["f_min"], "text": ["obs_publisher_did", "scan_mode"]},
    "ivoa.obsplan": {
        "whole": ["priority"],
        "real": ["s_ra", "t_min", "t_plan_exptime"],
        "text": ["obs_id", "target_name", "execution_status"],
    },
    "fyst.packages": {
        "whole": ["n_copies", "size_bytes", "n_files", "at_risk"],
        "real": [],
        "text": ["obs_publisher_did", "package_name", "checksum", "supersedes_did"],
        "time": ["changed_at"],
    },
    "fyst.files": {"whole": ["size_bytes"], "real": ["exptime"], "text": ["obs_publisher_did", "file_name"]},
    "fyst.copies": {"whole": ["remains"], "real": [], "text": ["obs_publisher_did", "site_key", "copy_status"]},
    "fyst.executed_units": {"whole": ["n_released"], "real": ["pwv", "elevation"], "text": ["obs_id", "target_name"]},
    "fyst.programs": {"whole": ["n_released"], "real": [], "text": ["program_short_name"]},
    "fyst.transfers": {"whole": ["retry_count"], "real": [], "text": ["obs_publisher_did", "transfer_status"]},
}
MERGED = [
    "ivoa.obscore NATURAL {} JOIN ivoa.obscore_radio",
    "fyst.packages {} JOIN fyst.copies USING (obs_publisher_did)",
]
NAMES = {"whole": ["1"], "real": ["0.5"], "text": ["obs_publisher_did"], "time": ["CAST('2026-04-02' AS TIMESTAMP)"]}

Pair = tuple[Catalog, Catalog]


@pytest.fixture(scope="session")
def twins(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Any, embargo: Callable[[str], dict[str, Any]]
) -> Iterator[dict[str, tuple[Pair, frozenset[int]]]]:
    """On each engine two catalogs, and the programme whose members are asked as."""
    with ExitStack() as stack:
        found = {}
        for engine in ("sqlite", "postgresql"):
            folder = tmp_path_factory.mktemp(engine)
            first = f"sqlite:///{folder}/one.db" if engine == "sqlite" else postgres_server.create_database()
            with open_catalog(first) as catalog:
                catalog.init()
                catalog.load_synthetic(packages=PACKAGES, seed=3)
            releases = embargo(first)
            programme = min(r.programme for r in releases.values() if not r.is_seen_by(ANONYMOUS) and r.programme)
            member = Caller("member", programmes=frozenset({programme}))
            if engine == "sqlite":
                with open_catalog(first) as catalog, catalog.database.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                shutil.copy(folder / "one.db", folder / "two.db")
                second = f"sqlite:///{folder}/two.db"
            else:
                second = postgres_server.create_database(first)
            change_what_is_hidden(second, {did for did, release in releases.items() if not release.is_seen_by(member)})
            pair = tuple(stack.enter_context(Catalog(hiding(url))) for url in (first, second))
            found[engine] = pair, member.programmes
        yield found  # type: ignore[misc]


def hiding(url: str) -> Any:
    base = load_settings(environ={}).with_database(url)
    return base.model_copy(update={"access": AccessSettings(hide_unreleased=True)})


def change_what_is_hidden(url: str, dids: set[str]) -> None:
    """Other values, fewer packages, other copies, other plans."""
    with open_catalog(url) as catalog, catalog.session() as session:
        hidden = list(
            session.execute(
                sa.select(RawDataPackage, PackagePublication.obs_publisher_did)
                .join(PackagePublication, PackagePublication.raw_data_package_id == RawDataPackage.id)
                .where(PackagePublication.obs_publisher_did.in_(sorted(dids)))
                .order_by(RawDataPackage.id)
            )
        )
        assert len(hidden) == len(dids) > 20
        of_package = sa.select(ExecutedObsUnit.obs_unit_id, RawDataPackage.id).join(
            RawDataPackage, RawDataPackage.executed_obs_unit_id == ExecutedObsUnit.id
        )
        concealed = {package.id for package, _ in hidden}
        shown = {unit for unit, package in session.execute(of_package) if package not in concealed}
        for number, (package, _) in enumerate(hidden):
            described = session.get_one(RawDataPackageMetadata, package.id)
            described.target_name = f"hidden {number}"
            described.s_ra, described.s_dec = (number * 37.0) % 360, -80.0 + number % 160
            described.t_exptime, described.em_min, described.em_max = 1e300, 1e-300, 1.0
            described.instr_feed = 2_000_000_000
            package.content_format = "text/hidden"
            unit = session.get_one(ExecutedObsUnit, package.executed_obs_unit_id)
            unit.pwv_mm, unit.elevation_deg = 99.0, 1.0
            if unit.obs_unit_id not in shown:
                session.get_one(ObsUnit, unit.obs_unit_id).planned_exptime_s = 9e9
            for file in session.scalars(sa.select(RawDataFile).where(RawDataFile.raw_data_package_id == package.id)):
                file.exptime_s = 1e11
            copies = sa.select(PhysicalCopy).where(
                PhysicalCopy.raw_data_package_id == package.id, PhysicalCopy.status == PhysicalCopyStatus.PRESENT
            )
            for copy in session.scalars(copies):
                copy.verification = "missing"
        session.commit()
        for _, did in hidden[::3]:
            catalog.withdraw(did, "not for others' eyes")


def asked(catalog: Catalog, query: str, caller: Caller, **options: Any) -> Any:
    """All that a caller learns: the rows, or the error."""
    try:
        with catalog.query(query, caller=caller, **options) as rows:
            table = rows.read_all()
            return sorted(map(repr, table.to_pylist())), rows.truncated
    except CatalogError as fault:
        return fault.code, fault.message, fault.hint


def compare(twins: Any, query: str) -> None:
    for engine, ((one, other), programmes) in twins.items():
        for caller in (ANONYMOUS, Caller("member", programmes=programmes)):
            assert asked(one, query, caller) == asked(other, query, caller), (engine, caller, query)


def test_the_twins_do_differ_for_who_sees_everything(twins: Any) -> None:
    staff = Caller("staff", permissions=frozenset({METADATA_PERMISSION}))
    for (one, other), programmes in twins.values():
        for table in COLUMNS.keys() - {"fyst.programs"}:
            query = f"SELECT * FROM {table}"
            assert asked(one, query, staff) != asked(other, query, staff), table
        member = Caller("member", programmes=programmes)
        counts = [asked(one, "SELECT obs_publisher_did FROM ivoa.obscore", who) for who in (ANONYMOUS, member, staff)]
        assert len(counts[0][0]) < len(counts[1][0]) < len(counts[2][0])


@pytest.mark.parametrize("table", [*COLUMNS, "TAP_SCHEMA.tables", "TAP_SCHEMA.columns"])
def test_whole_tables_tell_nothing(twins: Any, table: str) -> None:
    compare(twins, f"SELECT * FROM {table}")
    compare(twins, f"SELECT COUNT(*) AS n FROM {table}")


TELLING = """
SELECT MAX(t_exptime), MIN(em_min), SUM(access_estsize) FROM ivoa.obscore
SELECT 1 / (CASE WHEN target_name LIKE 'hidden%' THEN 0 ELSE 1 END) FROM ivoa.obscore
SELECT CAST(target_name AS INTEGER) FROM ivoa.obscore WHERE target_name LIKE 'hidden%'
SELECT CAST(instr_feed * 2 AS SMALLINT) FROM ivoa.obscore_radio WHERE instr_feed > 100000
SELECT instr_feed + 2000000000 FROM ivoa.obscore_radio WHERE instr_feed > 1000000
SELECT t_exptime * 1e200 FROM ivoa.obscore WHERE t_exptime > 1e100
SELECT program_short_name FROM fyst.programs AS g WHERE EXISTS (SELECT 1 FROM ivoa.obscore AS o
    WHERE o.obs_collection = g.program_short_name AND o.target_name LIKE 'hidden%')
SELECT g.program_short_name, COUNT(o.obs_publisher_did) AS n FROM fyst.programs AS g
    LEFT JOIN ivoa.obscore AS o ON o.obs_collection = g.program_short_name GROUP BY g.program_short_name
WITH w AS (SELECT obs_publisher_did AS did FROM fyst.copies) SELECT COUNT(*) AS n FROM w WHERE did IS NOT NULL
SELECT obs_publisher_did FROM ivoa.obscore EXCEPT SELECT obs_publisher_did FROM fyst.packages
SELECT obs_publisher_did FROM fyst.files UNION SELECT obs_id FROM ivoa.obsplan
SELECT TOP 3 target_name FROM ivoa.obscore ORDER BY t_exptime DESC, target_name
SELECT target_name FROM ivoa.obscore ORDER BY target_name OFFSET 2
SELECT o.target_name FROM ivoa.obscore AS o WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(180, 0, 179))
SELECT o.target_name FROM ivoa.obscore AS o WHERE 1 = INTERSECTS(s_region, CIRCLE(37, -79, 20))
SELECT p.supersedes_did FROM fyst.packages AS p WHERE p.supersedes_did NOT IN
    (SELECT obs_publisher_did FROM ivoa.obscore)
SELECT CASE WHEN (SELECT MAX(t_exptime) FROM ivoa.obscore) > 1e100 THEN 'yes' ELSE 'no' END AS x FROM fyst.programs
SELECT n.x FROM (SELECT CAST(instr_feed AS SMALLINT) AS x FROM ivoa.obscore_radio) AS n WHERE n.x > 5
SELECT COUNT(*) AS n FROM ivoa.obscore WHERE obs_id IN (SELECT obs_id FROM fyst.executed_units WHERE pwv = 99)
SELECT COUNT(DISTINCT site_key) AS n FROM fyst.copies WHERE verification = 'missing'
"""


@pytest.mark.parametrize("query", TELLING.replace("\n    ", " ").strip().splitlines())
def test_telling_questions_get_no_telling_answers(twins: Any, query: str) -> None:
    compare(twins, query)


UPLOADING = """
SELECT m.did, o.target_name FROM TAP_UPLOAD.mine AS m LEFT JOIN ivoa.obscore AS o ON o.obs_publisher_did = m.did
SELECT m.did FROM TAP_UPLOAD.mine AS m WHERE EXISTS (SELECT 1 FROM fyst.copies AS c WHERE c.obs_publisher_did = m.did)
SELECT COUNT(*) AS n FROM TAP_UPLOAD.mine AS m JOIN fyst.files AS f ON f.obs_publisher_did = m.did
SELECT m.did FROM TAP_UPLOAD.mine AS m JOIN ivoa.obscore_radio AS r ON r.obs_publisher_did = m.did
    WHERE CAST(r.instr_feed * 2 AS SMALLINT) > 100
"""


@pytest.mark.parametrize("query", UPLOADING.replace("\n    ", " ").strip().splitlines())
def test_uploads_of_identifiers_tell_nothing(twins: Any, query: str) -> None:
    staff = Caller("staff", permissions=frozenset({METADATA_PERMISSION}))
    for (one, other), programmes in twins.values():
        with one.query("SELECT obs_publisher_did FROM ivoa.obscore", caller=staff) as rows:
            table = "\n".join(["did", *rows.read_all()["obs_publisher_did"].to_pylist()]).encode()
        for caller in (ANONYMOUS, Caller("member", programmes=programmes)):
            answers = []
            for catalog in (one, other):
                file = UploadedFile("mine", "text/csv", len(table), BytesIO(table))
                with catalog.uploads.open([UploadedTable("mine", "param:mine")], [file]) as uploads:
                    answers.append(asked(catalog, query, caller, uploads=uploads))
            assert answers[0] == answers[1], caller


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 10_000), min_size=30, max_size=200))
def test_no_generated_query_tells_the_twins_apart(twins: Any, writing: Any, choices: list[int]) -> None:
    grounds = writing.Grounds(COLUMNS, schema="", merged=MERGED, merged_names=NAMES)
    compare(twins, writing.Writer(choices, grounds).query())
