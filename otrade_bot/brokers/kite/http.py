"""The HTTP session of Kite's client, with less between an order and its socket.

What leaves and what comes back is what ``requests`` would send and say; only what is the same for each order is worked
out once: the URL's parts, the headers' checks, which pool and which certificates. A request's head and body leave in
one piece. Whatever is not a plain form takes ``requests``' own way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote_plus

import urllib3
from requests import PreparedRequest, Request, Session
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, merge_cookies
from requests.structures import CaseInsensitiveDict
from urllib3 import connection

__all__ = ["KiteSession"]

#: So many of a kind are remembered; then all are forgotten. There are a few a day: one token, one address.
MOST = 64
_NAMES, _PLAIN = frozenset({str}), frozenset({str, int, float})
_FORM = "application/x-www-form-urlencoded"
_HARMLESS = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch


class KiteSession(Session):
    """Follows no redirect, asks the environment for nothing, sends nothing twice, keeps one connection. ``hooks`` and
    ``headers`` of the session are settled before its first request."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env, self.max_redirects = False, 0
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(pool_connections=1, pool_maxsize=1, max_retries=0))
        self._known: dict[tuple[object, ...], PreparedRequest] = {}

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As ``requests`` does it."""
        if not _plain(request):
            return super().prepare_request(request)
        key = request.method, request.url, *(request.headers or {}).items()
        bare = self._known.get(key) or self._learn(key, request)
        found = PreparedRequest()
        found.method, found.url, found.hooks, found._cookies = bare.method, bare.url, bare.hooks, bare._cookies
        found.headers = cast(_Headers, bare.headers).copy()
        if len(self.cookies):
            found.prepare_cookies(merge_cookies(RequestsCookieJar(), self.cookies))
        body = _form(cast(Mapping[str, object], request.data))
        found.headers["Content-Length"], found.headers["Content-Type"] = str(len(body)), _FORM
        found.body = body
        return found

    def _learn(self, key: tuple[object, ...], request: Request) -> PreparedRequest:
        """What requests that differ in their form alone have in common."""
        bare = super().prepare_request(Request(request.method, request.url, headers=request.headers))
        headers = _Headers(bare.headers)
        for name in ("Cookie", "Content-Length"):
            headers.pop(name, None)
        bare.headers, bare._cookies = headers, RequestsCookieJar()
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = bare
        return bare

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
        """As ``requests`` does it."""
        if self.trust_env or proxies or self.proxies or verify is None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {
            "proxies": {}, "stream": self.stream if stream is None else stream, "verify": verify,
            "cert": self.cert if cert is None else cert,
        }  # fmt: skip


def _form(data: Mapping[str, object]) -> str:
    pairs = [(name, str(value)) for name, value in data.items()]
    if not _HARMLESS("".join(map("".join, pairs))):
        pairs = [(quote_plus(name), quote_plus(value)) for name, value in pairs]
    return "&".join(map("=".join, pairs))


def _plain(request: Request) -> bool:
    """A form of single values, and nothing else: an order placed or changed."""
    data = request.data
    return (
        type(data) is dict
        and bool(data)
        and _NAMES.issuperset(map(type, data))
        and _PLAIN.issuperset(map(type, data.values()))
        and _NAMES.issuperset(map(type, (request.headers or {}).values()))
        and request.method in ("POST", "PUT")
        and not (request.params or request.files or request.auth or request.json or request.cookies)
        and not any(request.hooks.values())
    )


class _Headers(CaseInsensitiveDict[Any]):
    """Copied at each step of the way."""

    def copy(self) -> _Headers:
        found = _Headers.__new__(_Headers)
        found._store = self._store.copy()
        return found

    def items(self) -> Any:
        return self._store.values()


class _Adapter(HTTPAdapter):
    """Remembers the pool of the last request."""

    _pool: Any = None
    _way: tuple[object, ...] = ()
    _checked: tuple[object, ...] = ()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        way = (*request.url.split("/", 3)[:3], verify, cert)
        if self._pool is None or proxies or way != self._way:
            self._way, self._checked = () if proxies else way, ()
            self._pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        way = conn, verify, cert
        if way != self._checked:
            super().cert_verify(conn, url, verify, cert)
            self._checked = way

    def request_url(self, request: Any, proxies: Any) -> str:
        return super().request_url(request, proxies) if proxies else str(request.path_url)

    def close(self) -> None:
        self._pool, self._way, self._checked = None, (), ()
        super().close()


class _OnePiece(connection.HTTPConnection):
    """Head and body in one write: one segment, one TLS record."""

    _body = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lines: dict[tuple[str, ...], bytes] = {}

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        if isinstance(body, (str, bytes)) and "Content-Length" in headers and not options.get("chunked"):
            self._body, body = body.encode() if isinstance(body, str) else body, None
        try:
            super().request(method, url, body, headers, **options)
        finally:
            self._body = b""

    def send(self, data: Any) -> None:
        if self._body:
            data, self._body = data + self._body, b""
        super().send(data)

    def putheader(self, header: str, *values: str) -> None:  # type: ignore[override]
        """What was found in order is found so again."""
        line = self._lines.get((header, *values))
        if line is not None:
            self._output(line)  # type: ignore[attr-defined]
            return
        super().putheader(header, *values)
        if len(self._lines) >= MOST:
            self._lines.clear()
        self._lines[header, *values] = self._buffer[-1]  # type: ignore[attr-defined]


# What goes wrong is told with these names.
class HTTPConnection(_OnePiece):
    pass


class HTTPSConnection(_OnePiece, connection.HTTPSConnection):
    pass


class HTTPConnectionPool(urllib3.HTTPConnectionPool):
    ConnectionCls = HTTPConnection


class HTTPSConnectionPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = HTTPSConnection


_POOLS = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
