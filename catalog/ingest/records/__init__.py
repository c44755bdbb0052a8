"""The manifest: what one record may say, as strict models; strangers write it, so every mistake is named.

One record describes one package with its files, copies and the observation it came of. An object that holds its key
alone (``{"id": …}``, ``{"short_name": "GEco"}``, ``{"site": "…", "name": "…"}``) refers to something that the catalog
knows; one that says more also creates it where it is unknown. Unknown keys are errors.
"""

from __future__ import annotations

from catalog.ingest.records.location import CopyRecord, LocationRecord
from catalog.ingest.records.metadata import MetadataRecord
from catalog.ingest.records.observation import (
    ExecutedObsUnitRecord,
    ObsUnitRecord,
    ProgramRecord,
    SourceRecord,
    SubProgramRecord,
)
from catalog.ingest.records.package import FileRecord, PackageRecord

__all__ = [
    "CopyRecord",
    "ExecutedObsUnitRecord",
    "FileRecord",
    "LocationRecord",
    "MetadataRecord",
    "ObsUnitRecord",
    "PackageRecord",
    "ProgramRecord",
    "SourceRecord",
    "SubProgramRecord",
]
