"""From where to where bundles travel: the active routes, with the locations at both ends and on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from catalog.errors import IntegrityError, NotFoundError
from catalog.opsdb.enums import LocationType, RouteType
from catalog.opsdb.models import DataLocation, DataTransferRoute, Site

__all__ = ["Place", "Way", "read_ways"]

_T = LocationType
_ORIGINS = (_T.BUFFER, _T.SOURCE)
_DESTINATIONS = (_T.LONG_TERM_ARCHIVE, _T.BUFFER)
_RELAYS = (_T.BUFFER,)


@dataclass(frozen=True, slots=True)
class Place:
    """An active location."""

    location_id: int
    site: str
    name: str
    location_type: LocationType
    priority: int

    def __str__(self) -> str:
        return f"{self.site}/{self.name}"


@dataclass(frozen=True, slots=True)
class Way:
    """A route between two locations."""

    route_id: int
    route: str
    origin: Place
    destination: Place
    relay: Place | None

    @property
    def legs(self) -> tuple[tuple[Place, Place], ...]:
        """From place to place."""
        if self.relay is None:
            return ((self.origin, self.destination),)
        return ((self.origin, self.relay), (self.relay, self.destination))


def read_ways(connection: sa.Connection, route: str | None = None) -> list[Way]:
    """Every way on which packages are sent, those from the same origin together, the preferred origin of a site first.

    A route leads from each active buffer and source of its site, buffers first, to the archive of the other site that
    is to be used first, or to its buffer if it has no archive; a route that names a location means that one. Between
    two locations the route that says more counts, then one without a relay, then the older.

    Args:
        connection: Any.
        route: Name of the only route that counts.

    Raises:
        NotFoundError: There is no active route of this name.
        IntegrityError: A site of a route has no location where something could be put.
    """
    places = _places(connection)
    query = sa.select(DataTransferRoute.__table__, *_site_keys()).where(DataTransferRoute.active)
    rows = connection.execute(query if route is None else query.where(DataTransferRoute.name == route)).all()
    if route is not None and not rows:
        raise NotFoundError(f"there is no active route {route}")
    found: dict[tuple[int, int], Way] = {}
    for row in sorted(rows, key=_preference):
        destination = _one(row, "destination", places, _DESTINATIONS)
        relay = _one(row, "relay", places, _RELAYS) if row.route_type is RouteType.RELAY else None
        for origin in _some(row, "origin", places, _ORIGINS):
            way = Way(row.id, row.name, origin, destination, relay)
            found.setdefault((origin.location_id, destination.location_id), way)
    ways = [way for way in found.values() if way.origin != way.destination]
    return sorted(ways, key=lambda way: (way.origin.site, *_rank(way.origin, _ORIGINS), way.route_id))


def _site_keys() -> list[sa.Label[str]]:
    keys = {
        "origin_site": DataTransferRoute.origin_site_id,
        "destination_site": DataTransferRoute.destination_site_id,
        "relay_site": DataTransferRoute.relay_site_id,
    }
    return [sa.select(Site.key).where(Site.id == column).scalar_subquery().label(name) for name, column in keys.items()]


def _places(connection: sa.Connection) -> list[Place]:
    columns = (DataLocation.id, Site.key, DataLocation.name, DataLocation.location_type, DataLocation.priority)
    query = sa.select(*columns).join(Site, Site.id == DataLocation.site_id).where(DataLocation.active)
    return [Place(*row) for row in connection.execute(query)]


def _preference(row: sa.Row[tuple[object, ...]]) -> tuple[bool, bool, bool, int]:
    named = (row.origin_location_id is None, row.destination_location_id is None)
    return (*named, row.route_type is RouteType.RELAY, row.id)


def _some(row: sa.Row[tuple[object, ...]], end: str, places: Iterable[Place], kinds: tuple[_T, ...]) -> list[Place]:
    """Locations at an end of a route, the preferred first."""
    named = getattr(row, f"{end}_location_id", None)
    if named is not None:
        return [place for place in places if place.location_id == named]
    site = getattr(row, f"{end}_site")
    fit = [place for place in places if place.site == site and place.location_type in kinds]
    return sorted(fit, key=lambda place: _rank(place, kinds))


def _one(row: sa.Row[tuple[object, ...]], end: str, places: Iterable[Place], kinds: tuple[_T, ...]) -> Place:
    fit = _some(row, end, places, kinds)
    if not fit:
        wanted = " or ".join(f"'{kind}'" for kind in kinds)
        site = getattr(row, f"{end}_site")
        raise IntegrityError(f"the route {row.name} leads nowhere: {site} has no active location of the type {wanted}")
    return fit[0]


def _rank(place: Place, kinds: tuple[_T, ...]) -> tuple[int, int, int]:
    kind = kinds.index(place.location_type) if place.location_type in kinds else len(kinds)
    return kind, place.priority, place.location_id
