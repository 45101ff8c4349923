"""Connections that have been idle for long are not trusted with an order: who is at their other end may have
forgotten them, and the order's fate would be Unknown. urllib3 finds out only about those that were ended in order.
"""

from __future__ import annotations

import time
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["fresh_pools"]


class _Fresh(HTTPConnectionPool):
    """Closes what has been idle for ``fresh_s``: it is opened anew for the request."""

    fresh_s = 0.0

    def _get_conn(self, timeout: float | None = None) -> Any:
        found = super()._get_conn(timeout)
        used = getattr(found, "otrade_used", None)
        if used is not None and time.monotonic() - used > self.fresh_s:
            found.close()
        return found

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.otrade_used = time.monotonic()
        super()._put_conn(conn)


class _FreshTls(_Fresh, HTTPSConnectionPool):
    """The same over TLS."""


def fresh_pools(fresh_s: float) -> dict[str, type[HTTPConnectionPool]]:
    """What a PoolManager takes as its pools, by scheme."""
    return {
        "http": type("FreshPool", (_Fresh,), {"fresh_s": fresh_s}),
        "https": type("FreshTlsPool", (_FreshTls,), {"fresh_s": fresh_s}),
    }
