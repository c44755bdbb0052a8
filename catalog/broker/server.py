"""Packages that another server gives out under their relative paths."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from catalog.broker.disk import path_parts
from catalog.errors import UnavailableError

__all__ = ["Server"]

_PATIENCE_S = 5.0
_SILENT_ON_HEAD = (401, 403, 405, 501)  # it asks the client for credentials, or knows no HEAD: the client finds out


class Server:
    """A server whose URLs are the base URL and a relative path.

    Args:
        url: The base, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def check(self, path: str, size_bytes: int) -> None:
        """Ask the server by HEAD whether it has a package of this size. Where it leads elsewhere is not followed.

        Raises:
            UnavailableError: It has none, or does not answer.
        """
        parts = urlsplit(self.url(path, method="HEAD", name=""))
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        try:
            connection = kind(str(parts.hostname), parts.port, timeout=_PATIENCE_S)
            try:
                connection.request("HEAD", parts.path, headers={"accept-encoding": "identity"})
                answer = connection.getresponse()
                status, length = answer.status, answer.headers.get("content-length")
            finally:
                connection.close()
        except (OSError, HTTPException) as error:
            raise UnavailableError("the server that holds it does not answer") from error
        if status in _SILENT_ON_HEAD:
            return
        if not 200 <= status < 300:
            raise UnavailableError(f"the server that holds it answers {status}")
        if length is not None and length != str(size_bytes):
            raise UnavailableError("the server that holds it has another size of it")

    def url(self, path: str, *, method: str, name: str) -> str:
        """Where a client gets a package.

        Raises:
            UnavailableError: Its path leads out of the base URL.
        """
        return f"{self._url}/{quote('/'.join(path_parts(path)))}"
