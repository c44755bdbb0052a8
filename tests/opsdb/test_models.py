"""Families of classes load as what they are, and copies know their paths."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import selectin_polymorphic

from catalog.db import Database
from catalog.opsdb.enums import LocationType, PackageState, PhysicalCopyStatus, RouteType, Status, StorageType
from catalog.opsdb.models import (
    ChaiObservationConfiguration,
    ConstantElevationSource,
    DataLocation,
    DataTransferPackagePhysicalCopy,
    DiskDataLocation,
    FixedSource,
    ObservationConfiguration,
    ObsUnit,
    OpsBase,
    PhysicalCopy,
    RawDataFilePhysicalCopy,
    RawDataPackage,
    RawDataPackagePhysicalCopy,
    S3DataLocation,
    SolarSystemObject,
    Source,
    TapeDataLocation,
)

PACKAGE = "00000000-0000-4000-8000-000000000001"


def test_copies_of_every_kind_know_their_path_at_every_kind_of_location(observed: Database) -> None:
    with observed.session() as session:
        copies = session.scalars(sa.select(PhysicalCopy)).all()
        paths = {(type(copy), type(copy.location)): copy.full_path for copy in copies}
    assert paths == {
        (RawDataPackagePhysicalCopy, DiskDataLocation): f"/data/fyst/2026/05/{PACKAGE}.tar",
        (RawDataPackagePhysicalCopy, S3DataLocation): f"s3://fyst/raw/2026/05/{PACKAGE}.tar",
        (RawDataFilePhysicalCopy, TapeDataLocation): "/hsm/fyst/2026/a.fits",
        (DataTransferPackagePhysicalCopy, DiskDataLocation): "/data/fyst/transfer/t1.tar",
    }
    assert PurePosixPath(paths[RawDataFilePhysicalCopy, TapeDataLocation]).is_absolute()


@pytest.mark.parametrize(("prefix", "key"), [("", "a/b.tar"), ("raw", "raw/a/b.tar"), ("raw/", "raw/a/b.tar")])
def test_a_key_of_an_object_store_is_joined_to_its_prefix(prefix: str, key: str) -> None:
    location = S3DataLocation(name="x", location_type=LocationType.BUFFER, bucket="fyst", prefix=prefix)
    assert location.full_path("a/b.tar") == f"s3://fyst/{key}"


def test_one_query_for_sources_loads_each_as_what_it_is(observed: Database) -> None:
    kinds = [FixedSource, SolarSystemObject, ConstantElevationSource]
    with observed.session() as session:
        query = sa.select(Source).options(selectin_polymorphic(Source, kinds)).order_by(Source.name)
        jupiter, orion, stripe = session.scalars(query).all()
        session.expunge_all()
    assert isinstance(jupiter, SolarSystemObject)
    assert isinstance(orion, FixedSource)
    assert isinstance(stripe, ConstantElevationSource)
    assert (jupiter.body, orion.ra_deg, stripe.elevation_deg) == ("jupiter", 83.8, 50)


def test_configurations_load_as_what_they_are(observed: Database) -> None:
    with observed.session() as session:
        (configuration,) = session.scalars(sa.select(ObservationConfiguration)).all()
        assert isinstance(configuration, ChaiObservationConfiguration)
        assert configuration.line_frequency_ghz == 461.0408


def test_relationships_lead_from_a_package_to_all_that_describes_it(observed: Database) -> None:
    with observed.session() as session:
        package = session.scalars(sa.select(RawDataPackage).order_by(RawDataPackage.sequence)).first()
        assert package is not None
        unit = package.executed_obs_unit.obs_unit
        assert (unit.program.short_name, unit.sub_program and unit.sub_program.short_name) == ("GEco", "Ori")
        assert package.instrument_module.instrument.telescope.observatory.name == "CCAT Observatory"
        assert package.package_metadata is not None
        assert package.package_metadata.document == {}
        assert [c.name for c in unit.module_configurations] == ["wide"]


def test_a_part_of_the_programme_is_set_and_cleared_without_touching_the_programme(observed: Database) -> None:
    with observed.session() as session:
        unit = session.scalars(sa.select(ObsUnit)).one()
        program, unit.sub_program = unit.program, None
        session.flush()
        assert unit.program is program
        assert unit.sub_observing_program_id is None


@pytest.mark.parametrize(
    "closed",
    [Status, PackageState, PhysicalCopyStatus, LocationType, StorageType, RouteType],
    ids=lambda kind: kind.__name__,
)
def test_closed_lists_store_their_names_in_lower_case(closed: type[Status]) -> None:
    assert [member.value for member in closed] == [member.name.lower() for member in closed]


def test_physical_copies_have_eight_states() -> None:
    assert len(PhysicalCopyStatus) == 8


def test_locations_load_in_the_order_of_their_priority(observed: Database) -> None:
    with observed.session() as session:
        session.execute(sa.update(DataLocation).where(DataLocation.name == "tape").values(priority=-1))
        first = session.scalars(sa.select(DataLocation).order_by(DataLocation.priority)).first()
    assert isinstance(first, TapeDataLocation)


def test_no_column_could_hold_a_credential() -> None:
    words = ("secret", "access_key", "token", "credential", "passw")
    suspicious = {
        f"{table.name}.{column.name}"
        for table in OpsBase.metadata.sorted_tables
        for column in table.columns
        if any(word in column.name for word in words)
    }
    assert suspicious == {"user.password_hash", "api_token.token_hash"}


def test_every_model_is_described() -> None:
    assert [m.class_.__name__ for m in OpsBase.registry.mappers if not m.class_.__doc__] == []
