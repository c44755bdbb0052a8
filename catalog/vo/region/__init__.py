"""Regions of the sky: DALI 1.1 section 3.3.6 and 3.3.7 shapes, their legacy text form, and geometry on the sphere.

The footprint of a FITS header stands apart, in `catalog.vo.region.wcs`: it loads much of astropy.
"""

from catalog.vo.region.hull import bounding_cap, enclosing_circle, hull_of_points, unit_box
from catalog.vo.region.scan import scan_footprints
from catalog.vo.region.shapes import Circle, Polygon
from catalog.vo.region.sphere import centroid, contains, normalise_winding, polygon_area
from catalog.vo.region.text import format_circle, format_polygon, format_region, parse_region

__all__ = [
    "Circle",
    "Polygon",
    "bounding_cap",
    "centroid",
    "contains",
    "enclosing_circle",
    "format_circle",
    "format_polygon",
    "format_region",
    "hull_of_points",
    "normalise_winding",
    "parse_region",
    "polygon_area",
    "scan_footprints",
    "unit_box",
]
