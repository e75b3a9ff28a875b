"""HTTP whose answers are bounded in bytes and in seconds, whatever the server sends and however slowly.

An HTTP client bounds the silence between two bytes, and nothing else: headers that drip, interim responses (103) without
end and the body of an error may go on for ever. Here every byte that arrives passes one counter, and every wait is cut at one
deadline, by the extension points that httpx and httpcore have for it: a transport, and the network backend below it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

SLICE = 1 << 14
"""Bytes written between two looks at the clock."""


class WireError(Exception):
    """No answer came; the message completes "the server ..."."""


class _Quota(threading.local):
    """What is left of the attempt that runs in this thread: bytes to read, and the end on the monotonic clock."""

    until = left = bound = 0.0
    what = ""

    def seconds(self, timeout: float | None) -> float:
        """How long a wait may be. Raises WireError past the end."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise WireError("did not answer in time")
        return left if timeout is None else min(left, timeout)

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise WireError(f"sent more than {self.bound:,} bytes {self.what}")


class _Stream:
    """A connection (httpcore.NetworkStream) that asks the quota before it waits, and tells it what came."""

    def __init__(self, inner: Any, quota: _Quota) -> None:
        self.inner, self.quota = inner, quota

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self.inner.read(max_bytes, self.quota.seconds(timeout))
        self.quota.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), SLICE):
            self.inner.write(buffer[start : start + SLICE], self.quota.seconds(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.quota.seconds(timeout)), self.quota)

    def close(self) -> None:
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class _Network:
    """httpcore's network backend, with bounded streams."""

    def __init__(self, inner: Any, quota: _Quota) -> None:
        self.inner, self.quota = inner, quota

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> _Stream:
        return _Stream(self.inner.connect_tcp(host, port, timeout=self.quota.seconds(timeout), **more), self.quota)

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class Wire:
    """A transport for the openai package's HTTP client. A response is read whole before it is handed on.

    Proxies are those of the environment, as of the client itself. Compressed answers are refused, because a few bytes of
    them can stand for gigabytes; none is asked for.
    """

    def __init__(self, base_url: str) -> None:
        self.http, self.core = _libraries()
        self.quota = _Quota()
        self.pool = self._pool(base_url)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the client itself raises, such as for too many redirects."""
        return self.http.HTTPError, self.http.InvalidURL

    def _pool(self, base_url: str) -> Any:
        core, network = self.core, _Network(self.core.SyncBackend(), self.quota)
        context = self.http.create_ssl_context()
        options = {"ssl_context": context, "network_backend": network, "max_connections": None, "keepalive_expiry": 5.0}
        address, proxies = urlsplit(base_url), getproxies()
        proxy = proxies.get(address.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(address.hostname or ""):
            return core.ConnectionPool(**options)
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        login = (unquote(via.username or ""), unquote(via.password or "")) if via.username else None
        port = via.port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(via.scheme, 80)
        kind = core.SOCKSProxy if via.scheme.startswith("socks") else core.HTTPProxy
        return kind(proxy_url=f"{via.scheme}://{via.hostname}:{port}", proxy_auth=login, **options)

    @contextmanager
    def bounded(self, count: int, seconds: float, what: str) -> Iterator[None]:
        """What this thread sends and reads inside ends after `count` bytes, for `what`, or `seconds`, redirects included."""
        self.quota.left = self.quota.bound = count
        self.quota.what = what
        self.quota.until = time.monotonic() + seconds
        yield

    def handle_request(self, request: Any) -> Any:
        """httpx's transport call. Raises WireError."""
        core, url = self.core, request.url
        target = core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"accept-encoding"]
        asked = core.Request(
            method=request.method,
            url=target,
            headers=[*headers, (b"Accept-Encoding", b"identity")],
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = self.pool.handle_request(asked)
            try:
                encoded = [v for name, v in response.headers if name.lower() == b"content-encoding"]
                if any(value.strip().lower() not in (b"", b"identity") for value in encoded):
                    raise WireError("sent a compressed answer, which was not asked for")
                body = b"".join(response.iter_stream())
            finally:
                response.close()
        except core.TimeoutException:
            raise WireError("did not answer in time") from None
        except (core.ConnectError, core.UnsupportedProtocol, core.ProxyError) as e:
            raise WireError("cannot be reached") from e
        except (core.NetworkError, core.ProtocolError):
            raise WireError("broke off in mid-answer") from None
        return self.http.Response(response.status, headers=response.headers, content=body, extensions=response.extensions)

    def close(self) -> None:
        self.pool.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _libraries() -> tuple[Any, Any]:
    """The HTTP client that the installed openai package is built on, and its core: httpx and httpcore, or their successors
    httpx2 and httpcore2."""
    import openai

    names = (cls.__module__.partition(".")[0] for cls in openai.DefaultHttpxClient.__mro__)
    client = next(name for name in names if name.startswith("httpx"))
    return import_module(client), import_module(client.replace("httpx", "httpcore"))
