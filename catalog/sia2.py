"""Simple Image Access 2.0: images and cubes by a few parameters, over the rows of ``ivoa.obscore``.

Values of one parameter are alternatives, parameters narrow each other down, and what a row does not know it does not
fulfil (section 2.1). Every bound belongs to its interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol

from catalog.access import Caller
from catalog.dali import parse_interval, parse_maxrec, parse_number, single_values
from catalog.errors import NotFoundError, ParameterError
from catalog.vo.ivoid import parse_ivoid
from catalog.vo.region import Circle, Polygon, parse_region
from catalog.vo.region.ranges import SkyRange, cover_range, parse_range
from catalog.vo.table import Table, TableStream

__all__ = ["STANDARD_ID", "ImageQuery", "ImageService", "Query", "parse_image_query"]

STANDARD_ID = "ivo://ivoa.net/std/SIA#query-2.0"

_TYPES = ("image", "cube")
_SPANS = {"BAND": ("em_min", "em_max"), "TIME": ("t_min", "t_max")}
_NUMBERS = {
    "FOV": "s_fov",
    "SPATRES": "s_resolution",
    "SPECRP": "em_res_power",
    "EXPTIME": "t_exptime",
    "TIMERES": "t_resolution",
}
_TEXTS = {
    "COLLECTION": "obs_collection",
    "FACILITY": "facility_name",
    "INSTRUMENT": "instrument_name",
    "TARGET": "target_name",
    "FORMAT": "access_format",
}
_STATES = frozenset("I Q U V RR LL RL LR XX YY XY YX POLI POLA".split())
"""Terms of ObsCore 1.1 section B.6.6."""

_LEVELS = 4  # the highest calib_level (ObsCore 1.1 section 4.1.2)
_MULTIPLE = ("POS", *_SPANS, "POL", *_NUMBERS, "ID", "DPTYPE", "CALIB", *_TEXTS)
_MOST_VALUES = 50
_MOST_CORNERS = 2_000  # of polygons; what ADQL takes has an end
_LONGEST = 2_000  # characters of a value; a polygon has about 40 for each corner
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_FRESH_S = 10.0


class Query(Protocol):
    """Answers ADQL over the published tables, under the access rule."""

    def __call__(self, adql: str, *, caller: Caller, maxrec: int | None, life_s: float | None) -> TableStream:
        """The rows; whoever gets the stream closes it."""
        ...


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """What images were asked for."""

    conditions: tuple[str, ...] = ()
    """ADQL conditions on ``ivoa.obscore``, each of one parameter; all must hold."""

    maxrec: int | None = None
    responseformat: str | None = None


class ImageService:
    """Find images and cubes.

    Args:
        query: Asks the published tables.
        table: Description of ``ivoa.obscore``.
        has_images: Whether anonymous callers may see any image or cube.
    """

    def __init__(self, query: Query, table: Table, has_images: Callable[[], bool]) -> None:
        self._query = query
        self._table = table
        self._has_images = has_images
        self._offered = (False, -math.inf)

    def is_offered(self, *, fresh: bool = False) -> bool:
        """Whether anybody may see an image or cube: without one there is no service.

        Args:
            fresh: Ask the database, whatever it said some seconds ago.
        """
        known, asked_at = self._offered
        now = monotonic()
        if fresh or now - asked_at > _FRESH_S:
            known = self._has_images()
            self._offered = known, now
        return known

    def check_offered(self) -> None:
        """See that there is a service.

        Raises:
            NotFoundError: There is none.
        """
        if not self.is_offered():
            raise NotFoundError("there is nothing at this address")

    def adql(self, asked: ImageQuery) -> str:
        """What is asked of the published tables."""
        columns = ", ".join(column.name for column in self._table.columns)
        return f"SELECT {columns} FROM {self._table.name} WHERE {' AND '.join((_IS_IMAGE, *asked.conditions))}"

    def search(self, asked: ImageQuery, *, caller: Caller, life_s: float | None = None) -> TableStream:
        """The images and cubes that fulfil every condition.

        Args:
            asked: The conditions.
            caller: Who asks.
            life_s: Seconds within which the rows must be read; any number when None.

        Returns:
            The rows; whoever gets the stream closes it.

        Raises:
            NotFoundError: There is no such service.
            QueryTimeoutError: The database took too long.
        """
        self.check_offered()
        return self._query(self.adql(asked), caller=caller, maxrec=asked.maxrec, life_s=life_s)


def parse_image_query(pairs: Iterable[tuple[str, str]]) -> ImageQuery:
    """Read the parameters of an image query (section 2.1); those that are not known are passed over.

    Args:
        pairs: Names and values from the URL and the body. MAXREC and RESPONSEFORMAT come once, all others any number
            of times; blank values say nothing.

    Raises:
        ParameterError: A value is wrong, or there are too many; the message names the parameter.
    """
    pairs = list(pairs)
    single = single_values(pairs, ("MAXREC", "RESPONSEFORMAT"))
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.upper() in _MULTIPLE and value.strip():
            given.setdefault(name.upper(), []).append(value)
    _check_bounds(given)
    return ImageQuery(
        tuple(_any(_CONDITIONS[name](name, values)) for name, values in sorted(given.items())),
        parse_maxrec(single.get("MAXREC")),
        single.get("RESPONSEFORMAT") or None,
    )


def _check_bounds(given: dict[str, list[str]]) -> None:
    for name, values in given.items():
        if any(len(value) > _LONGEST for value in values):
            raise ParameterError(f"a value of {name} is longer than {_LONGEST:,} characters")
    if sum(map(len, given.values())) > _MOST_VALUES:
        names = ", ".join(sorted(given))
        raise ParameterError(f"{names} have more than {_MOST_VALUES} values together", hint="Ask by ADQL, at /tap.")


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions)})"


def _position(name: str, values: Sequence[str]) -> Iterator[str]:
    """Shapes that touch the region of the data (section 2.1.1)."""
    corners = 0
    for value in values:
        try:
            condition = _touches(value)
        except ValueError as error:
            raise ParameterError(f"{name}: {error}") from None
        corners += condition.count(",") // 2
        if corners > _MOST_CORNERS:
            raise ParameterError(f"the shapes of {name} are too many or too large to be asked for together")
        yield condition


def _touches(value: str) -> str:
    if value.split()[0].upper() == "RANGE":
        return _in_range(parse_range(value))
    return _meets(parse_region(value))


def _meets(region: Circle | Polygon) -> str:
    if isinstance(region, Circle):
        return f"1 = INTERSECTS(s_region, CIRCLE({_adql((region.ra, region.dec, region.radius))}))"
    numbers = (number for corner in region.vertices for number in corner)
    return f"1 = INTERSECTS(s_region, POLYGON({_adql(numbers)}))"


def _in_range(sky: SkyRange) -> str:
    """A box of longitudes and latitudes, by polygons; a band round the sky, by what is beyond it to both sides."""
    if sky.is_polar or not sky.is_band:
        return _any(map(_meets, cover_range(sky)))
    beyond = [(pole, 90 - pole * edge) for pole, edge in ((1, sky.dec_max), (-1, sky.dec_min)) if pole * edge < 90]
    caps = [f"0 = CONTAINS(s_region, CIRCLE({_adql((0, pole * 90, radius))}))" for pole, radius in beyond]
    return f"({' AND '.join(('s_region IS NOT NULL', *caps))})"


def _adql(numbers: Iterable[float]) -> str:
    return ", ".join(repr(round(float(number), 12) + 0.0) for number in numbers)


def _overlaps(name: str, values: Sequence[str]) -> Iterator[str]:
    """Intervals that meet that of the data (sections 2.1.2 and 2.1.3)."""
    first, last = _SPANS[name]
    for value in values:
        interval = parse_interval(name, value)
        yield f"({_bound(first, '<=', interval.high)} AND {_bound(last, '>=', interval.low)})"


def _within(name: str, values: Sequence[str]) -> Iterator[str]:
    """Intervals that the number of the data lies in (sections 2.1.5 to 2.1.9)."""
    column = _NUMBERS[name]
    for value in values:
        interval = parse_interval(name, value)
        yield f"({_bound(column, '>=', interval.low)} AND {_bound(column, '<=', interval.high)})"


def _bound(column: str, operator: str, value: float) -> str:
    return f"{column} {operator} {value!r}" if math.isfinite(value) else f"{column} IS NOT NULL"


def _polarised(name: str, values: Sequence[str]) -> Iterator[str]:
    """States that are among those of the data (section 2.1.4)."""
    for value in values:
        state = value.strip()
        if state not in _STATES:
            raise ParameterError(f"{name} is '{value[:40]}'; expected one of {', '.join(sorted(_STATES))}")
        yield f"pol_states LIKE '%/{state}/%'"


def _identified(name: str, values: Sequence[str]) -> Iterator[str]:
    """Identifiers, as written and as they are usually written (section 2.1.10)."""
    spellings: dict[str, None] = {}
    for value in values:
        spellings |= dict.fromkeys((value, value.lower()))
        try:
            ivoid = parse_ivoid(value)
        except ValueError:
            continue
        spellings[str(replace(ivoid, authority=ivoid.authority.lower(), path=ivoid.path.lower()))] = None
    yield f"obs_publisher_did IN ({_literals(name, spellings)})"


def _named(name: str, values: Sequence[str]) -> Iterator[str]:
    """Texts that are exactly those of the data."""
    yield f"{_TEXTS[name]} IN ({_literals(name, values)})"


def _literals(name: str, values: Iterable[str]) -> str:
    literals = []
    for value in values:
        if _CONTROL.search(value):
            raise ParameterError(f"{name} has a control character in it")
        literals.append("'" + value.replace("'", "''") + "'")
    return ", ".join(literals)


def _typed(name: str, values: Sequence[str]) -> Iterator[str]:
    """Kinds of data; there are two (section 2.1.14)."""
    for value in values:
        if value.strip() not in _TYPES:
            raise ParameterError(f"{name} is '{value[:40]}'; expected {' or '.join(_TYPES)}")
        yield f"dataproduct_type = '{value.strip()}'"


def _calibrated(name: str, values: Sequence[str]) -> Iterator[str]:
    for value in values:
        level = parse_number(name, value)
        if not level.is_integer() or not 0 <= level <= _LEVELS:
            raise ParameterError(f"{name} is '{value[:40]}'; expected a whole number, 0 to {_LEVELS}")
        yield f"calib_level = {int(level)}"


_IS_IMAGE = f"dataproduct_type IN ({', '.join(repr(kind) for kind in _TYPES)})"
_CONDITIONS: dict[str, Callable[[str, Sequence[str]], Iterator[str]]] = {
    "POS": _position,
    "POL": _polarised,
    "ID": _identified,
    "DPTYPE": _typed,
    "CALIB": _calibrated,
    **dict.fromkeys(_SPANS, _overlaps),
    **dict.fromkeys(_NUMBERS, _within),
    **dict.fromkeys(_TEXTS, _named),
}
