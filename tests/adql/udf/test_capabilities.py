"""The capabilities document tells clients of the functions, and they understand it."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
from pyvo.io import vosi

from catalog.adql.functions import FORM_DESCRIPTIONS, LANGUAGE_FEATURES
from catalog.vosi import LanguageFeature, OutputFormat, TapCapability, TimeLimit, render_capabilities

FEATURES = "ivo://ivoa.net/std/TAPRegExt#features-"
TAPLINT = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\s*\((.*)\)\s*->\s*(.*)")
"""What STILTS 3.4.7 wants of a user-defined function."""

PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9]* [A-Z]+")
"""What the parser of STILTS and TOPCAT reads of its parameters: names without underscores."""


@pytest.fixture(scope="module")
def document() -> bytes:
    features = tuple(LanguageFeature(kind, forms, FORM_DESCRIPTIONS) for kind, forms in LANGUAGE_FEATURES)
    formats = (OutputFormat("application/x-votable+xml", ("votable",)),)
    limit = TimeLimit(3, 4)
    capability = TapCapability(formats, features, maxrec_default=1, maxrec_hard=2, retention=limit, execution=limit)
    return render_capabilities("http://127.0.0.1:8080/tap", capability)


def test_the_document_is_valid(document: bytes, tmp_path: Path, stilts: str) -> None:
    path = tmp_path / "capabilities.xml"
    path.write_bytes(document)
    judged = subprocess.run([stilts, "xsdvalidate", f"doc={path}", "uselocals=true"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_pyvo_finds_every_function_with_its_description(document: bytes) -> None:
    capability = next(
        capability
        for capability in vosi.parse_capabilities(io.BytesIO(document))
        if capability.standardid == "ivo://ivoa.net/std/TAP"
    )
    adql = capability.get_adql()
    for signature, description in FORM_DESCRIPTIONS.items():
        found = adql.get_feature(f"{FEATURES}udf", signature)
        assert found is not None, signature
        assert found.description == description
        assert adql.get_udf(signature.partition("(")[0]) is not None
    assert adql.get_feature(f"{FEATURES}adql-unit", "IN_UNIT").description is None


@pytest.mark.parametrize("signature", FORM_DESCRIPTIONS)
def test_stilts_reads_the_signature(signature: str) -> None:
    found = TAPLINT.fullmatch(signature)
    assert found is not None
    assert all(PARAMETER.fullmatch(parameter) for parameter in found[2].split(", "))


def test_features_are_spelled_as_tapregext_spells_them() -> None:
    assert all(kind.startswith(FEATURES) for kind, _ in LANGUAGE_FEATURES)
