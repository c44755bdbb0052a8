"""The JSON Schema of a record, made from the models; ``vo_resources/schemas/manifest.schema.json`` is its copy."""

from __future__ import annotations

import json
from typing import Any

from catalog.ingest.records import PackageRecord

__all__ = ["build_manifest_schema", "render_manifest_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_manifest_schema() -> dict[str, Any]:
    """Schema (draft 2020-12) of one line of a JSON Lines manifest.

    It says names, kinds, ranges and closed lists; rules between fields are checked when the record is read.
    """
    schema = PackageRecord.model_json_schema(mode="validation")
    schema["title"] = "A record of a catalog manifest"
    return {"$schema": _DIALECT, **schema}


def render_manifest_schema() -> str:
    """The text of the shipped file."""
    return json.dumps(build_manifest_schema(), indent=2, ensure_ascii=False) + "\n"
