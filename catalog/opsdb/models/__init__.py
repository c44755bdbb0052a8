"""Every entity of the operations database as SQLAlchemy models, split by subject.

The customer's design document names the entities; columns that it does not name are ours (docs/decisions). This
front door imports them all, so that the mapping is always complete.
"""

from __future__ import annotations

from catalog.opsdb.models.copy import (
    DataTransferPackagePhysicalCopy,
    PhysicalCopy,
    RawDataFilePhysicalCopy,
    RawDataPackagePhysicalCopy,
)
from catalog.opsdb.models.declarative import (
    OpsBase,
    OurBase,
    share_defaults,
)
from catalog.opsdb.models.lifecycle import (
    LifecycleMove,
    MoveNote,
)
from catalog.opsdb.models.location import (
    DataLocation,
    DiskDataLocation,
    S3DataLocation,
    Site,
    TapeDataLocation,
)
from catalog.opsdb.models.observation import (
    ChaiObservationConfiguration,
    ExecutedObsUnit,
    ObservationConfiguration,
    ObsMode,
    ObsUnit,
    ObsUnitSlot,
    PrimeCamObservationConfiguration,
    obs_unit_module_configuration,
)
from catalog.opsdb.models.observatory import (
    ChaiModuleConfiguration,
    Instrument,
    InstrumentModule,
    InstrumentModuleConfiguration,
    Observatory,
    Telescope,
)
from catalog.opsdb.models.package import (
    RawDataFile,
    RawDataPackage,
    RawDataPackageMetadata,
)
from catalog.opsdb.models.people import (
    ApiToken,
    Permission,
    ProgramMembership,
    Role,
    User,
    role_permission,
    user_role,
)
from catalog.opsdb.models.programme import (
    ObservingProgram,
    SubObservingProgram,
)
from catalog.opsdb.models.publication import (
    PackagePublication,
    ParkedRecord,
    PublicationSetting,
    ResolveCause,
    ResolveQueue,
)
from catalog.opsdb.models.registry import (
    RegistryCoverage,
    RegistryRecord,
)
from catalog.opsdb.models.source import (
    ConstantElevationSource,
    FixedSource,
    SolarSystemObject,
    Source,
)
from catalog.opsdb.models.transfer import (
    DataTransfer,
    DataTransferLog,
    DataTransferPackage,
    DataTransferRoute,
    LongTermArchiveTransfer,
    StagingJob,
    data_transfer_package_member,
    staging_job_package,
)

__all__ = [
    "ApiToken",
    "ChaiModuleConfiguration",
    "ChaiObservationConfiguration",
    "ConstantElevationSource",
    "DataLocation",
    "DataTransfer",
    "DataTransferLog",
    "DataTransferPackage",
    "DataTransferPackagePhysicalCopy",
    "DataTransferRoute",
    "DiskDataLocation",
    "ExecutedObsUnit",
    "FixedSource",
    "Instrument",
    "InstrumentModule",
    "InstrumentModuleConfiguration",
    "LifecycleMove",
    "LongTermArchiveTransfer",
    "MoveNote",
    "ObsMode",
    "ObsUnit",
    "ObsUnitSlot",
    "ObservationConfiguration",
    "Observatory",
    "ObservingProgram",
    "OpsBase",
    "OurBase",
    "PackagePublication",
    "ParkedRecord",
    "Permission",
    "PhysicalCopy",
    "PrimeCamObservationConfiguration",
    "ProgramMembership",
    "PublicationSetting",
    "RawDataFile",
    "RawDataFilePhysicalCopy",
    "RawDataPackage",
    "RawDataPackageMetadata",
    "RawDataPackagePhysicalCopy",
    "RegistryCoverage",
    "RegistryRecord",
    "ResolveCause",
    "ResolveQueue",
    "Role",
    "S3DataLocation",
    "Site",
    "SolarSystemObject",
    "Source",
    "StagingJob",
    "SubObservingProgram",
    "TapeDataLocation",
    "Telescope",
    "User",
    "data_transfer_package_member",
    "obs_unit_module_configuration",
    "role_permission",
    "staging_job_package",
    "user_role",
]

for _base in (OpsBase, OurBase):
    share_defaults(_base.metadata)
