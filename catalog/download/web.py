"""Ask servers by HTTP: redirects are followed with care, and a token goes to one server alone (RFC 9110, RFC 6750)."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from catalog.errors import AuthorizationError, CatalogError, NotFoundError, UnavailableError, UsageError
from catalog.settings.oidc import is_safe_url
from catalog.settings.section import is_plain

__all__ = ["Answer", "Web", "origin_of"]

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
_MOST_WORDS = 2_000  # bytes of what a server says of an error
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers; the body is read once."""

    url: str
    """Where it came from in the end."""

    status: int
    headers: Message
    body: http.client.HTTPResponse

    @property
    def is_cut_short(self) -> bool:
        """Whether the body ended before its announced end."""
        return bool(self.body.length)


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL.

    Raises:
        UsageError: It is none of http or https.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _PORTS or parts.username is not None or not url.isprintable():
        raise UsageError(f"'{url[:200]}' is no address that begins with http:// or https://, without a name in it")
    return parts.scheme, host, port or _PORTS[parts.scheme]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none; `Web` does."""


class Web:
    """Asks servers on somebody's behalf.

    Args:
        service: URL of the service that the token is for: no other scheme, host or port ever gets it.
        token: A bearer token; None for nobody in particular.
        timeout_s: Between two signs of life.

    Raises:
        UsageError: The token would travel in the clear.
    """

    def __init__(self, service: str, *, token: str | None = None, timeout_s: float = 60.0) -> None:
        self._home = origin_of(service)
        if token is not None and not is_safe_url(service):
            raise UsageError("a token is sent by https only, or on this machine")
        if token is not None and not is_plain(token):
            raise UsageError("the token has characters that no token has")
        self._token = token
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_Stay)

    @property
    def is_anonymous(self) -> bool:
        """Whether no token is sent."""
        return self._token is None

    @contextmanager
    def ask(self, url: str, *, headers: Mapping[str, str] | None = None, form: bytes | None = None) -> Iterator[Answer]:
        """The answer of a server, after redirects: 200, 206 or 416.

        Args:
            url: With http or https.
            headers: Further ones.
            form: Sent by POST.

        Raises:
            NotFoundError: There is nothing.
            AuthorizationError: Who asks may not have it.
            UnavailableError: Nothing answers, or not now.
            UsageError: The server refuses for another reason, or leads where nobody should go.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask_once(url, headers or {}, form)
            try:
                if answer.status not in _REDIRECTS:
                    _check(answer)
                    yield answer
                    return
                target = urljoin(url, answer.headers.get("Location", ""))
            finally:
                answer.body.close()
            if origin_of(url)[0] == "https" and origin_of(target)[0] != "https":
                raise UsageError(f"{_host(url)} leads from https to http, where nobody knows who answers")
            if answer.status == 303:
                form = None
            url = target
        raise UsageError(f"{_host(url)} leads from one address to the next more than {_MOST_REDIRECTS} times")

    def _ask_once(self, url: str, headers: Mapping[str, str], form: bytes | None) -> Answer:
        sent = {"User-Agent": "catalog", "Accept-Encoding": "identity", **headers}
        if self._token is not None and origin_of(url) == self._home:
            sent["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(url.partition("#")[0], form, sent)  # noqa: S310  (http or https: see above)
        origin_of(url)
        try:
            body = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            return Answer(url, error.code, error.headers, error)  # type: ignore[arg-type]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(f"{_host(url)} does not answer: {_reason(error)}") from None
        return Answer(url, body.status, body.headers, body)


def _check(answer: Answer) -> None:
    if answer.status in (200, 206, 416):
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", ""):
            raise UsageError(f"{_host(answer.url)} answers in an encoding that was not asked for")
        return
    words = f"{_host(answer.url)} answers with status {answer.status}{_words(answer.body)}"
    kind: type[CatalogError] = UsageError
    if answer.status in (401, 403):
        kind = AuthorizationError
    elif answer.status in (404, 410):
        kind = NotFoundError
    elif answer.status in (408, 425, 429) or answer.status >= 500:
        kind = UnavailableError
    raise kind(words)


def _words(body: IO[bytes]) -> str:
    """The first line of what a server says for people."""
    try:
        text = body.read(_MOST_WORDS).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    line = next(iter(text.strip().splitlines()), "")
    return f": {line[:300]}" if line and line.isprintable() and not line.startswith(("<", "{")) else ""


def _host(url: str) -> str:
    return origin_of(url)[1]


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)[:200]
