"""IN_UNIT (ADQL 2.1 section 4.8), and frequencies as wavelengths.

Units are VOUnits; the factor between two is known when the query is read, so the database only multiplies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import sqlalchemy as sa
from astropy import units

from catalog.adql import nodes
from catalog.adql.kinds import literal
from catalog.adql.mathematics import Dialect, Sql, divide, verbatim
from catalog.adql.nodes import FunctionCall
from catalog.adql.signatures import NUMBER, TEXT, Fault, Form, Function, Result
from catalog.vo.spectrum import SPEED_OF_LIGHT
from catalog.vo.table import Column
from catalog.vo.types import Datatype

__all__ = ["FUNCTIONS", "conversion"]


@lru_cache(maxsize=1024)
def _unit(text: str) -> units.UnitBase:
    """A unit.

    Raises:
        ValueError: The text is none in the syntax of VOUnits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)  # deprecated spellings are still units
        try:
            return units.Unit(text, format="vounit", parse_strict="raise")
        except TypeError as error:
            raise ValueError(str(error)) from None


def conversion(start: str, end: str) -> tuple[float, float]:
    """What to multiply by and then to divide by, to get from one unit to another; one of the two is 1.

    Raises:
        ValueError: A unit is unknown.
        UnitConversionError: They measure different things.
    """
    forward = _unit(start).to(_unit(end))
    backward = _unit(end).to(_unit(start))
    return (1.0, backward) if backward == round(backward) else (forward, 1.0)


def _resolve(call: FunctionCall, fault: Fault) -> FunctionCall:
    """The call with two numbers in place of the unit."""
    operand, wanted = call.arguments
    if not isinstance(wanted, nodes.String):
        raise fault(wanted, "the unit is a literal, such as 'GHz'", code="unit")
    try:
        _unit(wanted.value)
    except ValueError:
        hint = "units are written as in VOUnits: 'arcsec', 'km/s', 'mJy/beam'"
        raise fault(wanted, f"'{wanted.value}' is not a known unit", code="unit", hint=hint) from None
    own = operand.type.unit
    if own is None:
        raise fault(operand, "this has no unit, so it cannot be converted", code="unit")
    try:
        numbers = conversion(own, wanted.value)
    except (ValueError, units.UnitsError):
        raise fault(wanted, f"{own} cannot be converted to {wanted.value}", code="unit") from None
    arguments = (operand, *(nodes.Number(number, span=wanted.span, meta=literal(number)) for number in numbers))
    meta = Column("value", Datatype.DOUBLE, unit=wanted.value, ucd=operand.type.ucd)
    return replace(call, arguments=arguments, meta=meta)


def _in_unit(dialect: Dialect, value: Sql, multiplier: Sql, divisor: Sql) -> Sql:
    return divide(value * multiplier, divisor)


# --- the spectral axis ----------------------------------------------------------------------------------------

_TINY = "1e-300"
_GHZ_M = SPEED_OF_LIGHT / 1e9


def _inverse(dialect: Dialect, value: Sql) -> Sql:
    """The speed of light by a frequency or wavelength; NULL unless that is positive."""
    tiny = verbatim(_TINY)
    larger = sa.func.max(value, tiny) if dialect == "sqlite" else sa.func.greatest(value, sa.cast(tiny, sa.Double))
    return divide(verbatim(repr(_GHZ_M)), sa.func.nullif(larger, tiny, type_=sa.Double))


_OTHER_END = {"stat.min": "stat.max", "stat.max": "stat.min"}
"""The lower edge in frequency is the upper edge in wavelength."""


def _spectral(unit: str, ucd: str) -> Result:
    def result(arguments: Sequence[Column]) -> Column:
        qualifiers = (arguments[0].ucd or "").split(";")[1:]
        words = (ucd, *(_OTHER_END.get(word, word) for word in qualifiers))
        return Column("value", Datatype.DOUBLE, unit=unit, ucd=";".join(words))

    return result


def _counted_in(unit: str) -> Callable[[FunctionCall, Fault], FunctionCall]:
    """Refuses a value that is known to be in another unit."""

    def check(call: FunctionCall, fault: Fault) -> FunctionCall:
        (value,) = call.arguments
        own = value.type.unit
        if own not in (None, unit):
            hint = f"IN_UNIT(…, '{unit}') converts what is of the same kind"
            raise fault(value, f"{call.name} takes {unit}; this is in {own}", code="unit", hint=hint)
        return call

    return check


FUNCTIONS = (
    Function(
        "IN_UNIT",
        (NUMBER, TEXT),
        lambda arguments: Column("value", Datatype.DOUBLE),
        _in_unit,
        feature="adql-unit",
        finish=_resolve,
    ),
    Function(
        "CCAT_FREQ_TO_WAVELENGTH",
        (NUMBER,),
        _spectral("m", "em.wl"),
        _inverse,
        feature="udf",
        forms=(
            Form(
                "ccat_freq_to_wavelength(freq REAL) -> REAL",
                "Wavelength in vacuum, in m, of a frequency in GHz; NULL unless it is positive.",
            ),
        ),
        finish=_counted_in("GHz"),
    ),
    Function(
        "CCAT_WAVELENGTH_TO_FREQ",
        (NUMBER,),
        _spectral("GHz", "em.freq"),
        _inverse,
        feature="udf",
        forms=(
            Form(
                "ccat_wavelength_to_freq(wavelength REAL) -> REAL",
                "Frequency in GHz of a wavelength in vacuum, in m; NULL unless it is positive.",
            ),
        ),
        finish=_counted_in("m"),
    ),
)
