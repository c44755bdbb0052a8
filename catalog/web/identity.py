"""Who asks: credentials become a `Caller`; who gives none is anonymous, and known by an address at most.

Wrong credentials are refused and never taken for none. Anonymous answers say that one may log in, as SSO 2.0 has it, as
soon as there is somebody who can.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from cachetools import TTLCache
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.access import ANONYMOUS, Caller
from catalog.errors import AuthenticationError, CatalogError, QuotaError, UsageError
from catalog.oidc.tokens import TokenVerifier, is_signed_token
from catalog.opsdb.accounts import AccountService
from catalog.opsdb.logins import Account
from catalog.uws.job import Client
from catalog.web.proxies import client_address, public_url
from catalog.wiring import as_caller

__all__ = ["Identification", "caller_of", "challenge_of", "client_of", "lister_of", "login_methods"]

_LOG = logging.getLogger(__name__)
_BEHIND = "somewhere behind"  # no address begins like this
_CALLER = "catalog.caller"
_OFFERED = "catalog.logins_offered"
_LOGIN_METHODS = ("ivo://ivoa.net/sso#BasicAA", "ivo://ivoa.net/sso#OAuth")
_CHALLENGE = "catalog.challenge"
_IN_NAMES = "!\"#$&'()*+,/:;<=>?@[\\]^`{|} "  # further characters of a name that a header can say; others are quoted
_OFFER_SECONDS = 30.0  # how soon the world is told that somebody can log in
_HASHES_AT_ONCE = 2  # each takes 64 MiB and a core
_VERIFIED_AT_ONCE = 4  # each may wait for an issuer
_FAILURES = 10
_FAILURE_SECONDS = 60.0
_ADDRESSES = 10_000  # that failures are remembered of


def caller_of(request: Request) -> Caller:
    """Who asks, with what credentials say."""
    caller: Caller = request.scope.get(_CALLER, ANONYMOUS)
    return caller


def challenge_of(request: Request) -> str:
    """How to identify oneself, for an address that wants to know who asks."""
    challenge: str = request.scope.get(_CHALLENGE, "Basic")
    return challenge


def login_methods(request: Request) -> tuple[str, ...]:
    """How one may log in, as SSO 2.0 calls it (a password, or a bearer token); empty while nobody can."""
    return _LOGIN_METHODS if request.scope.get(_OFFERED) else ()


def client_of(request: Request) -> Client:
    """Whom a job is counted for.

    Who comes through a proxy that is not trusted may be anybody, and shares the bounds of all who come that way: a
    header that anybody can send does not free from them.
    """
    caller = caller_of(request)
    if caller.username is not None:
        return _known_client(caller)
    address = client_address(request)
    if address is None and request.client is not None:
        return Client(origin=f"{_BEHIND} {request.client.host}")
    return Client(origin=address)


def lister_of(request: Request) -> Client:
    """Whose jobs are listed: an anonymous caller's only if the address is known and the request is no other site's.

    A browser sends ``Origin`` with what a page of another site asks. That page shall not see what the person before the
    browser has asked.
    """
    caller = caller_of(request)
    if caller.username is not None:
        return _known_client(caller)
    origin = request.headers.get("origin")
    is_foreign = origin is not None and not f"{public_url(request)}/".startswith(f"{origin}/")
    return Client() if is_foreign else Client(origin=client_address(request))


def _personal(stated: str) -> str:
    """How an answer to somebody may be kept: by nobody else, and no more freely than it was said (RFC 9111)."""
    words = [word.strip().lower() for word in stated.split(",")]
    if "no-store" in words:
        return "no-store"
    return "private, no-cache" if "no-cache" in words else "private"


def _known_client(caller: Caller) -> Client:
    return Client(owner=caller.username, scopes=caller.scopes, roles=caller.claimed_roles)


@dataclass(slots=True)
class _Failures:
    count: int
    until: float


class Identification:
    """Finds out who asks, before anything is done.

    Args:
        app: What is asked.
        accounts: Who may log in.
        tokens: Reads the tokens of institutes, if any are taken.
        realm: What credentials are for, as clients show it.
        offers: Beginnings of the paths whose answers say that one may log in.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: AccountService,
        tokens: TokenVerifier | None,
        realm: str,
        offers: tuple[str, ...],
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._tokens = tokens
        self._challenge = f'Basic realm="{realm}", charset="UTF-8", Bearer realm="{realm}"'
        self._offers = offers
        self._hashing = anyio.CapacityLimiter(_HASHES_AT_ONCE)
        self._verifying = anyio.CapacityLimiter(_VERIFIED_AT_ONCE)
        self._failures: TTLCache[str, _Failures] = TTLCache(_ADDRESSES, _FAILURE_SECONDS)
        self._offered = (False, 0.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, by ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("authorization")
        caller = await self._identify(Request(scope), given) if given else ANONYMOUS
        scope[_CALLER] = caller
        scope[_CHALLENGE] = self._challenge
        is_for_programs = scope["path"].startswith(self._offers)
        scope[_OFFERED] = is_for_programs and (caller.username is not None or await self._is_offered())
        challenges = scope[_OFFERED] and caller.username is None

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Authorization")
                if caller.username is not None:
                    headers["x-vo-authenticated"] = quote(caller.username, safe=_IN_NAMES)
                    headers["cache-control"] = _personal(headers.get("cache-control", ""))
                elif challenges:
                    headers.setdefault("www-authenticate", self._challenge)
            await send(message)

        await self._app(scope, receive, with_headers)

    async def _identify(self, request: Request, given: list[str]) -> Caller:
        """The caller whose credentials these are.

        Raises:
            AuthenticationError: They are nobody's, or in a form that is not known.
            QuotaError: There were too many wrong ones from this address.
            UnavailableError: They are those of an issuer that cannot be asked now.
        """
        scheme, _, credentials = given[0].partition(" ")
        known = {"basic": self._by_password, "bearer": self._by_token}
        if len(given) > 1 or scheme.lower() not in known:
            raise self._refused("credentials come once, as 'Authorization: Basic …' or 'Authorization: Bearer …'")
        if scheme.lower() == "bearer" and self._tokens is not None and is_signed_token(credentials):
            return as_caller(await self._by_signed_token(self._tokens, credentials.strip()))
        address = client_address(request) or f"{_BEHIND} {request.client.host if request.client else ''}"
        self._check_patience(address)
        account = await known[scheme.lower()](credentials.strip())
        if account is None:
            self._count_failure(address)
            what = (
                "the token is unknown, expired or revoked" if scheme.lower() == "bearer" else "wrong name or password"
            )
            raise self._refused(what)
        return as_caller(account)

    async def _by_token(self, secret: str) -> Account | None:
        return await run_in_threadpool(self._accounts.by_token, secret)

    async def _by_signed_token(self, tokens: TokenVerifier, token: str) -> Account:
        """The user whom an issuer vouches for. Wrong ones are not counted: nobody guesses a signature."""
        try:
            subject = await run_sync(partial(tokens.verify, token), limiter=self._verifying)
            known = partial(self._accounts.by_subject, subject.username, roles=subject.roles)
            account = await run_in_threadpool(partial(known, may_be_created=subject.may_be_created))
        except UsageError as fault:
            raise self._refused(fault.message) from None
        if account is None:
            raise self._refused("the token is good, but it names nobody who may log in here")
        return account

    async def _by_password(self, credentials: str) -> Account | None:
        try:
            username, colon, password = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise self._refused("the credentials cannot be read; expected name:password in UTF-8 and Base64") from None
        if not colon:
            raise self._refused("the credentials have no colon; expected name:password in Base64")
        return await run_sync(partial(self._accounts.by_password, username, password), limiter=self._hashing)

    def _refused(self, message: str) -> AuthenticationError:
        return AuthenticationError(message, challenge=self._challenge, hint="Or leave credentials out.")

    def _check_patience(self, address: str) -> None:
        failures = self._failures.get(address)
        if failures is not None and failures.count >= _FAILURES:
            left = round(failures.until - time.monotonic())
            raise QuotaError("too many wrong credentials came from your address", retry_after=max(1, left))

    def _count_failure(self, address: str) -> None:
        failures = self._failures.setdefault(address, _Failures(0, time.monotonic() + _FAILURE_SECONDS))
        failures.count += 1

    async def _is_offered(self) -> bool:
        """Whether anybody can log in, as it was some seconds ago."""
        if self._tokens is not None:
            return True
        known, asked_at = self._offered
        now = time.monotonic()
        if asked_at == 0.0 or now - asked_at > _OFFER_SECONDS:
            self._offered = known, now  # others do not wait meanwhile
            try:
                known = await run_in_threadpool(self._accounts.is_offered)
            except CatalogError as fault:
                _LOG.warning("whether anybody can log in is not known: %s", fault.message)
            self._offered = known, now
        return known
