"""An issuer of signed tokens on this machine: its keys can change, and it can be slow, wrong or away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

Key = RSAKey | ECKey | OKPKey
AUDIENCE = "fyst-catalog"
_ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA", "HS256", "none"]


class LocalIssuer:
    """Signs tokens, and tells its public keys by HTTP."""

    def __init__(self) -> None:
        self.keys: list[Key] = [RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})]
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self._begin(0)

    def _begin(self, port: int) -> None:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.answers.get(self.path, issuer.answer)(self)

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/realm"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def go_away(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        self._begin(self.port)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        documents: dict[str, Any] = {
            "/realm/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys?all=1"},
            "/realm/keys?all=1": KeySet(list(self.keys)).as_dict(private=False),
        }
        found = documents.get(request.path)
        send(request, 404 if found is None else 200, json.dumps(found).encode())

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Of a good token; a change to None leaves a claim out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "clara", "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, key: Any = None, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token, good unless something is changed."""
        key = key or self.keys[0]
        stated = {"alg": key.alg or "RS256", "kid": key.kid} | (header or {})
        stated = {name: value for name, value in stated.items() if value is not None}
        facts = key.as_dict(private=True)
        willing = type(key).import_key({name: facts[name] for name in facts.keys() - {"alg", "use", "key_ops"}})
        return jwt.encode(stated, self.claims(**changes), willing, algorithms=_ALGORITHMS)


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body)), "Content-Type": "application/json"} | headers).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def local_issuer() -> Iterator[LocalIssuer]:
    made = LocalIssuer()
    try:
        yield made
    finally:
        made.go_away()


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    """An issuer of this test."""
    with local_issuer() as made:
        yield made
