"""Packages in an object store that speaks S3. Credentials come from the environment; clients get signed URLs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import IO, Any

from catalog.broker.disk import path_parts
from catalog.errors import UnavailableError
from catalog.settings.files import ServedLocation

__all__ = ["ObjectStore"]

_LOG = logging.getLogger(__name__)
_CONNECT_S, _READ_S = 5.0, 30.0


class ObjectStore:
    """A bucket that holds packages under a prefix.

    Args:
        location: With bucket and endpoint.
        signed_url_s: How long a signed URL is valid.
    """

    def __init__(self, location: ServedLocation, *, signed_url_s: int) -> None:
        self._location = location
        self._signed_url_s = signed_url_s
        self._clients: dict[str, Any] = {}
        self._making = Lock()

    def check(self, path: str, size_bytes: int) -> None:
        """See that the store has a package of this size.

        Raises:
            UnavailableError: It has none, or does not answer.
        """
        self._head(path, size_bytes)

    def open(self, path: str, size_bytes: int, *, start: int, length: int) -> IO[bytes]:
        """Some bytes of a package, of the object whose size was looked at.

        Raises:
            UnavailableError: The store has none of this size, or does not answer.
        """
        etag = self._head(path, size_bytes)
        span = f"bytes={start}-{start + length - 1}"
        with _plainly():
            answer = self._client(self._endpoint).get_object(**self._key(path), Range=span, IfMatch=etag)
        body: IO[bytes] = answer["Body"]
        if answer["ContentLength"] != length:
            body.close()
            raise UnavailableError("the object store gives other bytes than were asked for")
        return body

    def url(self, path: str, *, method: str, name: str) -> str:
        """A signed URL, which is valid for a while and for this method alone.

        Raises:
            UnavailableError: There are no credentials.
        """
        public = self._location.public_endpoint or self._endpoint
        shown = {"ResponseContentDisposition": f'attachment; filename="{name}"'} if method == "GET" else {}
        with _plainly():
            url: str = self._client(public).generate_presigned_url(
                "get_object" if method == "GET" else "head_object",
                Params=self._key(path) | shown,
                ExpiresIn=self._signed_url_s,
                HttpMethod=method,
            )
        return url

    def _head(self, path: str, size_bytes: int) -> str:
        """The tag of the object, which has this size."""
        with _plainly():
            found = self._client(self._endpoint).head_object(**self._key(path))
        if found["ContentLength"] != size_bytes:
            size = found["ContentLength"]
            raise UnavailableError(f"its object has {size:,} bytes, and the package {size_bytes:,}")
        return str(found["ETag"])

    def _key(self, path: str) -> dict[str, str]:
        prefix = self._location.prefix.strip("/")
        parts = ([prefix] if prefix else []) + path_parts(path)
        return {"Bucket": str(self._location.bucket), "Key": "/".join(parts)}

    @property
    def _endpoint(self) -> str:
        return str(self._location.endpoint)

    def _client(self, endpoint: str) -> Any:
        """The client for an address, which all threads share."""
        with self._making:
            if endpoint not in self._clients:
                self._clients[endpoint] = _make_client(endpoint, self._location.region)
            return self._clients[endpoint]


def _make_client(endpoint: str, region: str | None) -> Any:
    try:
        from botocore.config import Config
        from botocore.session import get_session
    except ImportError as error:
        _LOG.error("files.locations names a bucket, which needs an extra: pip install 'ccat-catalog[s3]'")
        raise UnavailableError("the object store that holds it cannot be reached from here") from error
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"total_max_attempts": 2},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return get_session().create_client("s3", region_name=region or "us-east-1", endpoint_url=endpoint, config=config)


@contextmanager
def _plainly() -> Iterator[None]:
    """Say what a store refuses without naming it; the log has the rest, and no secret is in that."""
    try:
        yield
    except UnavailableError:
        raise
    except Exception as error:
        status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 404:
            raise UnavailableError("its object is not there") from error
        _LOG.warning("an object store: %s", error)
        raise UnavailableError("the object store that holds it does not answer as it should") from error
