"""What a phone reads of a broker that is not reached: the reason, without the libraries' wrapping."""

from __future__ import annotations

import pytest

from otrade_bot.brokers.outcomes import said

POOL = "HTTPSConnectionPool(host='api.kite.trade', port=443): "


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            f"kite order book: ConnectionError: {POOL}Max retries exceeded with url: /orders?access_token=x (Caused by "
            "NewConnectionError(\"HTTPSConnection(host='api.kite.trade', port=443): Failed to establish a new "
            'connection: [Errno 111] Connection refused"))',
            "kite order book: ConnectionError: Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            f"ConnectionError: {POOL}Max retries exceeded with url: /orders (Caused by NewConnectionError("
            "'<urllib3.connection.HTTPSConnection object at 0x7f00>: Failed to establish a new connection: "
            "[Errno 111] Connection refused'))",
            "ConnectionError: Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            f"ConnectionError: {POOL}Max retries exceeded with url: /orders (Caused by NameResolutionError("
            "\"HTTPSConnection(host='api.kite.trade', port=443): Failed to resolve 'api.kite.trade' ([Errno -2] Name "
            'or service not known)"))',
            "ConnectionError: Failed to resolve 'api.kite.trade' ([Errno -2] Name or service not known)",
        ),
        (f"ReadTimeout: {POOL}Read timed out. (read timeout=7)", "ReadTimeout: Read timed out. (read timeout=7)"),
        (
            "ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without "
            "response'))",
            "ConnectionError: Connection aborted: Remote end closed connection without response",
        ),
        (
            "ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
            "ConnectionError: Connection aborted: Connection reset by peer",
        ),
        (
            "kite instruments: HTTP 503, DataException: Unknown Content-Type (text/html) with response: (b'<html>\\r\\n"
            "<head><title>503</title></head>\\r\\n</html>\\r\\n')",
            "kite instruments: HTTP 503, DataException: Unknown Content-Type (text/html)",
        ),
        ("HTTP 400, OrderException: No. (a 'quoted' word)", "HTTP 400, OrderException: No. (a 'quoted' word)"),
    ],
)
def test_the_reason_stays_and_the_wrapping_goes(given: str, told: str) -> None:
    assert said(given) == told
