"""Under which name and address the holdings are published: sections ``[publication]`` and ``[service]``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, field_validator

from catalog.settings.section import Section, listed

__all__ = ["CONE_PATH", "IMAGES_PATH", "LINKS_PATH", "Network", "PublicationSettings", "ServiceSettings"]

Network = IPv4Network | IPv6Network
"""Addresses that have their beginning in common."""

LINKS_PATH = "/datalink/links"
"""Where the links of packages are, below the service's base URL: `access_url` leads there."""

CONE_PATH = "/scs/query"
"""Where positions are searched around; the documents of VOSI lie beside it."""

IMAGES_PATH = "/sia2/query"
"""Where images are searched for, likewise."""

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (listened at only when the operator says so)


class PublicationSettings(Section):
    """Under which name the holdings are published."""

    authority: str = "ccat.example"
    """IVOA authority id; the default is reserved for synthetic catalogs."""

    path: str = "raw"
    """Path of the publisher identifiers: ``ivo://<authority>/<path>?<package id>``."""

    publisher: str = "CCAT Observatory (synthetic demonstration)"
    contact: str | None = None


class ServiceSettings(Section):
    """The HTTP service."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1)] = 1
    """Processes that serve at the same port."""

    base_url: str | None = None
    """What the world calls us, without a slash at the end; made of host and port when absent."""

    trusted_proxies: tuple[Network, ...] = ()
    """Addresses and networks whose ``X-Forwarded-…`` and ``Forwarded`` headers are believed."""

    title: str = "FYST raw data catalog"

    housekeeping_s: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two looks at the queue of packages that others changed."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        parts = listed(value)
        try:
            return tuple(ip_network(part) for part in parts if part) if isinstance(parts, list | tuple) else value
        except ValueError as error:
            raise ValueError(f"expected addresses and networks, such as 127.0.0.1 and 10.0.0.0/8: {error}") from None

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("expected a URL that starts with http:// or https://")
        return value.rstrip("/") if value else value

    @property
    def url(self) -> str:
        """Base URL, as clients see it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def is_address_known(self) -> bool:
        """Whether clients can use `url`; a host that stands for every address of this machine is none for them."""
        return self.base_url is not None or self.host not in _EVERYWHERE
