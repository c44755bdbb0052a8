"""The section ``[oidc]`` of the settings: whose tokens are taken besides our own (OpenID Connect Core 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from catalog.settings.section import JSON_ARRAY, Section, is_plain

__all__ = ["IssuerSettings", "OidcSettings", "is_safe_url"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_safe_url(url: str) -> bool:
    """Whether what comes from a URL can be believed: by https, or from this machine; nothing else is in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    is_bare = not (parts.fragment or parts.username or parts.password)
    is_near = parts.scheme == "http" and host in _LOOPBACK
    return bool(host and port != 0 and is_plain(url) and is_bare and (parts.scheme == "https" or is_near))


class IssuerSettings(Section):
    """Somebody whose signed tokens say who asks, such as the login service of an institute."""

    url: str
    """As its tokens write it in ``iss``; below it lies ``/.well-known/openid-configuration``."""

    audience: Annotated[str, Field(min_length=1)]
    """What ``aud`` of a token must hold: that it was made for this service."""

    username_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that names the user. It must never pass from one person to another, as an address of mail does."""

    username_suffix: str = ""
    """Put after what the claim says: ``@institute.example`` keeps two issuers apart."""

    creates_users: bool = False
    """Whether somebody with a good token becomes a user, which needs a suffix; else there must be a user of this name
    already."""

    roles_claim: str | None = None
    """The claim that lists groups or roles; ``a.b`` is also the member ``b`` of the claim ``a``."""

    roles: Mapping[str, str] = Field(default_factory=dict)
    """What the claim lists, to a role of ours, which counts for this token, beside those that the user has."""

    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    """By how much the clocks may differ."""

    keys_s: Annotated[float, Field(ge=60, le=86_400)] = 3600.0
    """How long the issuer's keys are kept; a key that it has taken back is good for as long."""

    fetch_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long one document of the issuer may take to arrive."""

    @field_validator("url")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not is_safe_url(value) or "?" in value:
            raise ValueError(
                "expected a URL such as https://login.example.org/realms/science; http on this machine only"
            )
        return value


class OidcSettings(Section):
    """Logins at institutes."""

    issuers: Annotated[tuple[IssuerSettings, ...], JSON_ARRAY] = ()
    """Whose tokens are taken."""

    @field_validator("issuers")
    @classmethod
    def _apart(cls, value: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        """No issuer can name the users of another; none that everybody may come from can name ours."""
        if len({issuer.url for issuer in value}) < len(value):
            raise ValueError("an issuer is named twice")
        for issuer in value:
            if issuer.creates_users and not issuer.username_suffix:
                raise ValueError(
                    f"{issuer.url} has creates_users and no username_suffix: who calls oneself there like a user of "
                    "ours would be that user; expected a suffix such as @institute.example"
                )
        for one, other in permutations(value, 2):
            if one.username_suffix.endswith(other.username_suffix):
                raise ValueError(
                    f"{other.url} could name users of {one.url}; give each issuer a username_suffix of its own, "
                    "of which none ends like another"
                )
        return value
