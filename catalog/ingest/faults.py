"""Why one record does not go in; caught where the record is reported."""

from __future__ import annotations

from catalog.errors import IntegrityError, NotFoundError

__all__ = ["ContradictionError", "MissingParentError", "UnknownInstrumentError"]


class MissingParentError(NotFoundError):
    """The record refers to something that is not known yet: it is parked."""


class ContradictionError(IntegrityError):
    """The record contradicts what is known: it is refused.

    Args:
        field: Dotted name of the field of the record.
        message: What is recorded, and what the record says.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownInstrumentError(ContradictionError):
    """The record names an instrument or module that is not known, and none may be created."""
