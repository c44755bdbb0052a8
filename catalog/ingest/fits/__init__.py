"""What a FITS file says about itself (FITS 4.0): its headers become one `FitsDescription`; data are never loaded."""

from __future__ import annotations

from catalog.ingest.fits.description import FitsDescription, describe_fits

__all__ = ["FitsDescription", "describe_fits"]
