"""One lattice of data types: each member knows its VOTable, Arrow, numpy, FITS and ADQL face.

VOTable 1.4 section 2.1, FITS 4.0 section 7.3, ADQL 2.1 section 3.2. ``xtype`` and ``arraysize`` belong to the
column, not to the type.
"""

from __future__ import annotations

from enum import Enum

import pyarrow as pa

__all__ = ["Datatype"]


class Datatype(Enum):
    """A VOTable primitive and its equivalents elsewhere.

    Each value is ``(votable, arrow scalar, numpy big-endian, FITS letter, ADQL)``. The numpy code is what BINARY2
    and FITS write; text and bits have none. A complex number is a pair of the scalars that Arrow and numpy know.
    """

    BOOLEAN = ("boolean", pa.bool_(), "?", "L", "INTEGER")
    BIT = ("bit", pa.bool_(), None, "X", "INTEGER")
    UNSIGNED_BYTE = ("unsignedByte", pa.uint8(), ">u1", "B", "SMALLINT")
    SHORT = ("short", pa.int16(), ">i2", "I", "SMALLINT")
    INT = ("int", pa.int32(), ">i4", "J", "INTEGER")
    LONG = ("long", pa.int64(), ">i8", "K", "BIGINT")
    FLOAT = ("float", pa.float32(), ">f4", "E", "REAL")
    DOUBLE = ("double", pa.float64(), ">f8", "D", "DOUBLE PRECISION")
    FLOAT_COMPLEX = ("floatComplex", pa.float32(), ">f4", "C", "VARCHAR")
    DOUBLE_COMPLEX = ("doubleComplex", pa.float64(), ">f8", "M", "VARCHAR")
    CHAR = ("char", pa.string(), None, "A", "VARCHAR")
    UNICODE_CHAR = ("unicodeChar", pa.string(), None, "A", "VARCHAR")

    def __init__(self, votable: str, arrow: pa.DataType, numpy: str | None, fits: str, adql: str) -> None:
        self.votable = votable
        self.arrow = arrow
        self.numpy = numpy
        self.fits = fits
        self.adql = adql

    @property
    def is_text(self) -> bool:
        """Whether values are strings."""
        return self in (Datatype.CHAR, Datatype.UNICODE_CHAR)

    @property
    def is_float(self) -> bool:
        """Whether values are floating-point numbers."""
        return self in (Datatype.FLOAT, Datatype.DOUBLE)

    @property
    def is_complex(self) -> bool:
        """Whether values are pairs: the real and the imaginary part."""
        return self in (Datatype.FLOAT_COMPLEX, Datatype.DOUBLE_COMPLEX)

    @property
    def is_flag(self) -> bool:
        """Whether values are true or false."""
        return self in (Datatype.BOOLEAN, Datatype.BIT)

    @property
    def parts(self) -> int:
        """Arrow scalars that make one value."""
        return 2 if self.is_complex else 1

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers."""
        return self in (Datatype.UNSIGNED_BYTE, Datatype.SHORT, Datatype.INT, Datatype.LONG)

    @property
    def is_numeric(self) -> bool:
        """Whether arithmetic is defined."""
        return self.is_float or self.is_integer

    @classmethod
    def from_votable(cls, name: str) -> Datatype:
        """The member with this VOTable name.

        Raises:
            ValueError: No such datatype.
        """
        for member in cls:
            if member.votable == name:
                return member
        raise ValueError(f"'{name}' is not one of {', '.join(m.votable for m in cls)}")
