"""Where packages can be read: one object for each location that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Protocol

from catalog.broker.disk import Disk
from catalog.broker.objects import ObjectStore
from catalog.broker.server import Server
from catalog.settings.files import ServedLocation

__all__ = ["AnyPlace", "Place", "Readable", "build_places"]


class Place(Protocol):
    """Something that holds packages by their relative paths."""

    def check(self, path: str, size_bytes: int) -> None:
        """See that a package is there, and as large as it should be.

        Raises:
            UnavailableError: It is not; says why, and nothing of the inside.
        """


class Readable(Place, Protocol):
    """A place that this service itself can read."""

    def open(self, path: str, size_bytes: int, *, start: int, length: int) -> IO[bytes]:
        """Some bytes of a package; whoever gets them closes them. More than ``length`` may follow.

        Raises:
            UnavailableError: It is not there, or of another size.
        """


AnyPlace = Disk | ObjectStore | Server
"""What the settings can name."""


def build_places(
    locations: Mapping[str, ServedLocation], *, signed_url_s: int
) -> dict[str, Disk | ObjectStore | Server]:
    """The places by the names of their locations.

    Args:
        locations: As the settings name them.
        signed_url_s: How long a signed URL is valid.
    """
    found: dict[str, AnyPlace] = {}
    for name, location in locations.items():
        if location.root is not None:
            found[name] = Disk(location.root)
        elif location.url is not None:
            found[name] = Server(location.url)
        else:
            found[name] = ObjectStore(location, signed_url_s=signed_url_s)
    return found
