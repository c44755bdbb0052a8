from __future__ import annotations

import pytest

from catalog.vo.units import validate_ucd, validate_unit


@pytest.mark.parametrize(
    "unit", ["", "deg", "kbyte", "m", "s", "d", "arcsec", "GHz", "Jy/beam", "mJy.arcsec**-2", "Angstrom"]
)
def test_units_of_the_standard_pass(unit: str) -> None:
    validate_unit(unit)


@pytest.mark.parametrize("unit", ["degres", "Jy per beam", "m/s/", "km^^2"])
def test_other_units_are_refused_by_name(unit: str) -> None:
    with pytest.raises(ValueError, match=r"is not a unit in the syntax of VOUnits: ."):
        validate_unit(unit)


@pytest.mark.parametrize(
    "ucd",
    [
        "meta.code.class",
        "meta.code;obs.calib",
        "meta.ref.ivoid",
        "phys.size;meta.file",
        "phys.angSize;instr.fov",
        "pos.outline;obs.field",
        "time.start;obs.exposure",
        "em.wl;stat.min",
        "meta.code;phys.polarization",
        "meta.id;obs.proposal",
        "meta.checksum;meta.file",
    ],
)
def test_ucds_of_obscore_pass(ucd: str) -> None:
    validate_ucd(ucd)


@pytest.mark.parametrize("ucd", ["", "meta.nonsense", "meta.file;meta.id", "pos.eq.ra;", "meta id", "ü"])
def test_other_ucds_are_refused_with_the_reason(ucd: str) -> None:
    with pytest.raises(ValueError, match=r"is not a UCD1\+: ."):
        validate_ucd(ucd)
