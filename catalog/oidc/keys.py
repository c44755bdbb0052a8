"""The public keys of an issuer, by discovery, kept for a while (OpenID Connect Discovery 1.0 section 4, RFC 7517)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from catalog.errors import UnavailableError
from catalog.oidc.fetch import fetch_document

__all__ = ["IssuerKeys", "Jwk"]

Jwk = Mapping[str, Any]
"""A JSON Web Key."""

_LOG = logging.getLogger(__name__)
_MAX_BYTES = 1_000_000
_MAX_KEYS = 200
_AGAIN_S = 30.0  # after the keys were fetched, an unknown one is not looked for
_PAUSE_S = 5.0  # after a failure
_PUBLIC = {"RSA", "EC", "OKP"}


class IssuerKeys:
    """Keys of one issuer, fetched when they are needed.

    Args:
        issuer: Its URL.
        keys_s: How long keys are kept, in seconds.
        fetch_s: How long one of its documents may take, in seconds.
        clock: Seconds that only grow.
    """

    def __init__(
        self, issuer: str, *, keys_s: float, fetch_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._keys_s = keys_s
        self._fetch_s = fetch_s
        self._clock = clock
        self._lock = Lock()
        self._kept: tuple[float, tuple[Jwk, ...]] | None = None
        self._failure: tuple[float, UnavailableError] | None = None

    def find(self, kid: str | None) -> Jwk | None:
        """The key of this identifier; when a token names none, the only one there is.

        An unknown identifier may be that of a new key: the keys are then fetched again, but not at once after the last
        time, whatever tokens come. Meanwhile tokens with known keys do not wait, and further unknown ones neither:
        anybody can write such tokens, and those who wait take places from others.

        Raises:
            UnavailableError: The issuer does not tell its keys, or is being asked for new ones.
        """
        kept = self._kept
        is_fresh = kept is not None and self._clock() - kept[0] < self._keys_s
        if kept is not None and is_fresh:
            found = _choose(kept[1], kid)
            if found is not None or self._clock() - kept[0] < _AGAIN_S:
                return found
        if not self._lock.acquire(blocking=not is_fresh):
            raise UnavailableError("the issuer of the token is being asked for new keys; try again in a while")
        try:
            if self._kept is kept:  # else another has fetched them meanwhile
                self._kept = self._clock(), self._fetch()
            kept = self._kept
            assert kept is not None  # noqa: S101  (it has just been set)
            return _choose(kept[1], kid)
        finally:
            self._lock.release()

    def _fetch(self) -> tuple[Jwk, ...]:
        if self._failure is not None and self._clock() - self._failure[0] < _PAUSE_S:
            raise self._failure[1]
        try:
            discovery = self._document(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if discovery.get("issuer") != self._issuer:
                raise UnavailableError("it calls itself otherwise than the settings do")
            keys = self._document(str(discovery.get("jwks_uri"))).get("keys")
            if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
                raise UnavailableError("it has no list of keys")
        except UnavailableError as error:
            _LOG.warning("the issuer %s cannot be asked for its keys: %s", self._issuer, error.message)
            fault = UnavailableError("the issuer of the token cannot be asked for its keys now")
            self._failure = self._clock(), fault
            raise fault from error
        self._failure = None
        return tuple(key for key in keys if isinstance(key, dict) and _is_usable(key))

    def _document(self, url: str) -> dict[str, Any]:
        text = fetch_document(url, seconds=self._fetch_s, max_bytes=_MAX_BYTES)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise UnavailableError("it answers with something that is no JSON object")
        return document


def _is_usable(key: Jwk) -> bool:
    """Whether it is a public key for signatures."""
    return key.get("kty") in _PUBLIC and key.get("use", "sig") == "sig"


def _choose(keys: tuple[Jwk, ...], kid: str | None) -> Jwk | None:
    found = [key for key in keys if kid is None or key.get("kid") == kid]
    return found[0] if len(found) == 1 else None
