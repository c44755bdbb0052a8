"""Packages and copies: sections ``[copies]``, ``[access]``, ``[packages]`` and ``[transfers]``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from catalog.settings.section import Section

__all__ = ["AccessSettings", "CopySettings", "PackageSettings", "TransferSettings"]


class CopySettings(Section):
    """What must be left when a copy is deleted or unpacked."""

    survivors: Annotated[int, Field(ge=1)] = 1
    """Verified archive copies that must be left when a copy at a source, buffer or processing location goes."""

    archive_sites: Annotated[int, Field(ge=1)] = 2
    """Sites with a verified archive copy that must be left when an archive copy goes."""

    archive_media: Annotated[int, Field(ge=1, le=3)] = 1
    """Kinds of storage with a verified archive copy that must be left when an archive copy goes."""

    verified_within_days: Annotated[int, Field(ge=1)] = 365
    """How long a verification counts."""


class AccessSettings(Section):
    """What is shown of packages that are not released. Their bytes are always for their programme and for staff."""

    hide_unreleased: bool = False
    """Whether their metadata are hidden, too, from everybody else."""

    count_hidden: bool = False
    """Whether answers say how many rows were hidden from who asked, which tells a patient caller what they hold."""


class _RetrySection(Section):
    attempts: Annotated[int, Field(ge=1)] = 5
    """After so many failed attempts a step is not tried again."""

    backoff_s: Annotated[float, Field(ge=0)] = 300.0
    """Seconds between a failure and the second attempt; twice as long before each further one."""

    backoff_max_s: Annotated[float, Field(ge=0)] = 21_600.0


class PackageSettings(_RetrySection):
    """How files are put into packages, and how often building one is tried."""

    max_bytes: Annotated[int, Field(ge=1)] = 50_000_000_000
    """Of the files together; what is larger and not separated is a package of its own."""

    max_files: Annotated[int, Field(ge=1)] = 100_000


class TransferSettings(_RetrySection):
    """How packages are bundled for the way between sites, and how often a step of it is tried."""

    min_bytes: Annotated[int, Field(ge=0)] = 10_000_000_000_000
    max_bytes: Annotated[int, Field(ge=1)] = 50_000_000_000_000
    """Of the packages together; an execution that is larger travels in a bundle of its own."""

    max_packages: Annotated[int, Field(ge=1)] = 100_000

    overdue_days: Annotated[float, Field(ge=0)] = 3.0
    """What has waited so long goes in a bundle below the minimum, and first."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_bytes > self.max_bytes:
            raise ValueError("min_bytes must not exceed max_bytes")
        return self
