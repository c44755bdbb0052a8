"""Whether texts are units and UCDs: VOUnits 1.1, UCD1+ 1.5."""

from __future__ import annotations

import warnings

from astropy import units
from astropy.io.votable.ucd import parse_ucd

__all__ = ["validate_ucd", "validate_unit"]


def validate_unit(text: str) -> None:
    """Check that the text is a unit by VOUnits 1.1; the empty text, dimensionless, is one.

    Raises:
        ValueError: It is not; the message gives the reason.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)  # deprecated spellings are still units
        try:
            units.Unit(text, format="vounit", parse_strict="raise")
        except (ValueError, TypeError) as error:
            raise ValueError(f"'{text}' is not a unit in the syntax of VOUnits: {error}") from None


def validate_ucd(text: str, *, takes_namespaces: bool = False) -> None:
    """Check that the text is a UCD1+ made of words of the official list, each in a place that it may have.

    Args:
        text: The UCD.
        takes_namespaces: Whether words may have a namespace before them; in others than ``ivoa`` any word is good.

    Raises:
        ValueError: It is not; the message gives the reason.
    """
    try:
        parse_ucd(text, check_controlled_vocabulary=True, has_colon=takes_namespaces)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a UCD1+: {error}") from None
