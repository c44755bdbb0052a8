"""The core tables side by side, one row per package: what `catalog.obscore.mapping` reads.

Every join but the first is an outer one: an attached database may lack a table, and a package without a source is a
package all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from catalog.opsdb.models import (
    ChaiModuleConfiguration,
    ChaiObservationConfiguration,
    ConstantElevationSource,
    ExecutedObsUnit,
    FixedSource,
    Instrument,
    InstrumentModule,
    InstrumentModuleConfiguration,
    ObservingProgram,
    ObsMode,
    ObsUnit,
    PackagePublication,
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
    SolarSystemObject,
    Source,
    SubObservingProgram,
    Telescope,
    obs_unit_module_configuration,
)

__all__ = [
    "CHAI",
    "CHANNEL_WIDTH_KHZ",
    "DRIFT",
    "FIXED",
    "INSTRUMENT",
    "METADATA",
    "MODE",
    "MODULE",
    "MODULE_JOINS",
    "OBSERVATION_JOINS",
    "OBS_UNIT",
    "PACKAGE",
    "PROGRAM",
    "PUBLICATION",
    "SOLAR_SYSTEM",
    "SOURCE",
    "SUB_PROGRAM",
    "TELESCOPE",
    "UNIT",
    "Condition",
    "file_columns",
    "is_complete",
    "join_core_tables",
    "join_outer",
]

Condition = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Says of a column of package ids which packages are meant."""

PACKAGE = RawDataPackage.__table__.alias("package")
METADATA = RawDataPackageMetadata.__table__.alias("metadata")
PUBLICATION = PackagePublication.__table__.alias("publication")
UNIT = ExecutedObsUnit.__table__.alias("unit")
OBS_UNIT = ObsUnit.__table__.alias("obs_unit")
PROGRAM = ObservingProgram.__table__.alias("program")
SUB_PROGRAM = SubObservingProgram.__table__.alias("sub_program")
SOURCE = Source.__table__.alias("source")
FIXED = FixedSource.__table__.alias("fixed")
SOLAR_SYSTEM = SolarSystemObject.__table__.alias("solar_system")
DRIFT = ConstantElevationSource.__table__.alias("drift")
MODE = ObsMode.__table__.alias("mode")
CHAI = ChaiObservationConfiguration.__table__.alias("chai")
MODULE = InstrumentModule.__table__.alias("module")
INSTRUMENT = Instrument.__table__.alias("instrument")
TELESCOPE = Telescope.__table__.alias("telescope")

_CONFIGURED = obs_unit_module_configuration.alias("configured")
_SETUP = InstrumentModuleConfiguration.__table__.alias("setup")
_CHAI_SETUP = ChaiModuleConfiguration.__table__.alias("chai_setup")

CHANNEL_WIDTH_KHZ: sa.ColumnElement[float | None] = (
    sa.select(sa.func.min(_CHAI_SETUP.c.channel_width_khz))
    .select_from(
        _CONFIGURED.join(_SETUP, _SETUP.c.id == _CONFIGURED.c.instrument_module_configuration_id).join(
            _CHAI_SETUP, _CHAI_SETUP.c.id == _SETUP.c.id
        )
    )
    .where(_CONFIGURED.c.obs_unit_id == OBS_UNIT.c.id, _SETUP.c.instrument_module_id == MODULE.c.id)
    .correlate(OBS_UNIT, MODULE)
    .scalar_subquery()
)
"""The finest channel that the observation set this module to, kHz."""

_FILE = RawDataFile.__table__.alias("file")
_LONGEST_EXPOSURE_S = 1e12
_EXPOSURE = sa.case((_FILE.c.exptime_s < _LONGEST_EXPOSURE_S, _FILE.c.exptime_s))  # so that no sum leaves the doubles


def file_columns(condition: Condition) -> sa.Subquery:
    """What the packages' own files say together: ``first``, ``last``, ``exptime_s``, and how many lack that.

    The condition is repeated inside, so that only the files of the packages meant are read.
    """
    return (
        sa.select(
            _FILE.c.raw_data_package_id,
            sa.func.min(_FILE.c.start_time).label("first"),
            sa.func.max(_FILE.c.end_time).label("last"),
            sa.func.sum(_EXPOSURE).label("exptime_s"),
            (sa.func.count() - sa.func.count(_EXPOSURE)).label("without_exptime"),
        )
        .where(condition(_FILE.c.raw_data_package_id))
        .group_by(_FILE.c.raw_data_package_id)
        .subquery("files")
    )


Join = tuple[sa.FromClause, sa.ColumnElement[bool]]

OBSERVATION_JOINS: tuple[Join, ...] = (
    (PROGRAM, PROGRAM.c.id == OBS_UNIT.c.observing_program_id),
    (SOURCE, SOURCE.c.id == OBS_UNIT.c.source_id),
    (FIXED, FIXED.c.id == SOURCE.c.id),
    (SOLAR_SYSTEM, SOLAR_SYSTEM.c.id == SOURCE.c.id),
    (DRIFT, DRIFT.c.id == SOURCE.c.id),
    (MODE, MODE.c.id == OBS_UNIT.c.obs_mode_id),
    (CHAI, CHAI.c.id == OBS_UNIT.c.observation_configuration_id),
)
"""What describes an observation unit."""

MODULE_JOINS: tuple[Join, ...] = (
    (INSTRUMENT, INSTRUMENT.c.id == MODULE.c.instrument_id),
    (TELESCOPE, TELESCOPE.c.id == INSTRUMENT.c.telescope_id),
)
"""What an instrument module belongs to."""


def join_outer(tables: sa.FromClause, *joins: Join) -> sa.FromClause:
    """Tables with others beside them where there are any."""
    for table, condition in joins:
        tables = tables.outerjoin(table, condition)
    return tables


def join_core_tables(files: sa.Subquery) -> sa.FromClause:
    """Everything that describes a package, joined to it."""
    published = PACKAGE.join(PUBLICATION, PUBLICATION.c.raw_data_package_id == PACKAGE.c.id)
    return join_outer(
        published,
        (METADATA, METADATA.c.raw_data_package_id == PACKAGE.c.id),
        (files, files.c.raw_data_package_id == PACKAGE.c.id),
        (UNIT, UNIT.c.id == PACKAGE.c.executed_obs_unit_id),
        (OBS_UNIT, OBS_UNIT.c.id == UNIT.c.obs_unit_id),
        *OBSERVATION_JOINS,
        (SUB_PROGRAM, SUB_PROGRAM.c.id == OBS_UNIT.c.sub_observing_program_id),
        (MODULE, MODULE.c.id == PACKAGE.c.instrument_module_id),
        *MODULE_JOINS,
    )


def is_complete() -> sa.ColumnElement[bool]:
    """Whether a package is built: its size and checksum are final. Its state says nothing about that."""
    return sa.and_(PACKAGE.c.size_bytes.is_not(None), PACKAGE.c.checksum.is_not(None))
