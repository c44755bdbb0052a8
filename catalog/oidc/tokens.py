"""Whom a signed token names: signature, issuer, audience and times are looked at, and nothing else is believed.

Only signatures by private keys count: with ``none`` everybody could sign, and with HS256 whoever has the public key.
The algorithm must be one of the key's kind, and the key comes from the issuer's own list, whatever the token says.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import SettingsError, UsageError
from catalog.oidc.keys import IssuerKeys, Jwk

__all__ = ["Issuer", "Subject", "TokenVerifier", "is_signed_token"]

_MOST_CHARACTERS = 16_000
_MOST_ROLES = 1_000
_ALGORITHMS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken, and how they are read; see `catalog.settings.oidc.IssuerSettings`."""

    url: str
    audience: str
    keys: IssuerKeys
    username_claim: str = "sub"
    username_suffix: str = ""
    creates_users: bool = False
    roles_claim: str | None = None
    roles: Mapping[str, str] | None = None
    leeway_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a good token names."""

    username: str
    roles: frozenset[str]
    """Of ours, that the token vouches for."""

    may_be_created: bool
    """Whether somebody who is no user yet becomes one."""


def is_signed_token(credentials: str) -> bool:
    """Whether it has the form of a signed token (RFC 7515 section 3.1); our own tokens have no dots."""
    return credentials.count(".") == 2


class TokenVerifier:
    """Reads the tokens of some issuers.

    Args:
        issuers: Whose tokens are taken.

    Raises:
        SettingsError: The library that reads tokens is not installed.
    """

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.url: issuer for issuer in issuers}
        try:
            import jwt
        except ImportError:
            raise SettingsError(
                "oidc.issuers is set, but the library that reads such tokens is not installed",
                hint="Install ccat-catalog[oidc].",
            ) from None
        self._jwt = jwt

    @property
    def roles(self) -> frozenset[str]:
        """Every role of ours that a token can vouch for."""
        return frozenset(role for issuer in self._issuers.values() for role in (issuer.roles or {}).values())

    def verify(self, token: str) -> Subject:
        """Whom a token names.

        Raises:
            UsageError: It counts for nothing; says why.
            UnavailableError: Its issuer cannot be asked for its keys.
        """
        if len(token) > _MOST_CHARACTERS:
            raise UsageError(f"the token is longer than {_MOST_CHARACTERS:,} characters")
        header, stated = _parts(token)
        issuer = self._issuers.get(str(stated.get("iss")))
        if issuer is None:
            raise UsageError("the token is of an issuer whose tokens are not taken here")
        if "crit" in header:
            raise UsageError("the token demands extensions that are not known")
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise UsageError("the token cannot be read")
        algorithm = header.get("alg")
        if not any(algorithm in known for known in _ALGORITHMS.values()):
            raise UsageError("the token is not signed by an algorithm with a private key, such as RS256")
        key = issuer.keys.find(kid)
        if key is None:
            raise UsageError("the token is signed by a key that its issuer does not have")
        return _subject(issuer, self._claims(token, issuer, key, str(algorithm)))

    def _claims(self, token: str, issuer: Issuer, key: Jwk, algorithm: str) -> Mapping[str, Any]:
        """What a token says, after everything about it was found right."""
        jwt = self._jwt
        curve = key.get("crv")
        known = _ALGORITHMS.get((str(key.get("kty")), curve if isinstance(curve, str) else None), ())
        if algorithm not in known or key.get("alg", algorithm) != algorithm:
            raise UsageError("the token is signed by another algorithm than its key is for")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=[algorithm],
                audience=issuer.audience,
                issuer=issuer.url,
                leeway=issuer.leeway_s,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise UsageError("the token has expired") from None
        except jwt.ImmatureSignatureError:
            raise UsageError("the token is not valid yet") from None
        except jwt.InvalidAudienceError:
            raise UsageError("the token was made for another service") from None
        except jwt.MissingRequiredClaimError:
            raise UsageError("the token lacks one of exp, iss and aud") from None
        except jwt.InvalidSignatureError:
            raise UsageError("the signature of the token is wrong") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise UsageError("the token cannot be read") from None
        return claims


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, which nobody has vouched for yet."""
    try:
        header, claims, _ = token.split(".")
        found = [json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims)]
    except (ValueError, RecursionError):
        found = []
    if len(found) != 2 or not all(isinstance(part, dict) for part in found):
        raise UsageError("the token cannot be read")
    return found[0], found[1]


def _subject(issuer: Issuer, claims: Mapping[str, Any]) -> Subject:
    name = claims.get(issuer.username_claim)
    if not isinstance(name, str) or not name:
        raise UsageError(f"the token does not name a user: it has no text '{issuer.username_claim}'")
    mapped = issuer.roles or {}
    roles = frozenset(mapped[word] for word in _listed(claims, issuer.roles_claim) if word in mapped)
    return Subject(name + issuer.username_suffix, roles, issuer.creates_users)


def _listed(claims: Mapping[str, Any], name: str | None) -> Sequence[str]:
    """The words of a claim, which is a list or a text with blanks; of a member of a claim, as ``a.b`` names it."""
    if name is None:
        return ()
    found: Any = claims
    for step in [name] if name in claims else name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        found = found.split()
    return [word for word in found[:_MOST_ROLES] if isinstance(word, str)] if isinstance(found, list) else ()
