"""What can go wrong between a client and Kite. ``after=True``: it was done, and only the answer is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .faults import BAD_GATEWAY, BadGateway, Closed, Fault, Hang, Reset
from .loopback import Answer, Drop

__all__ = [
    "BadGateway", "Broken", "Closed", "Fault", "Hang", "Reset", "Says", "error_body", "html", "refuses", "too_many",
]  # fmt: skip

#: Kite's error types and the status that its documents give them.
STATUSES = {
    "TokenException": 403, "UserException": 400, "OrderException": 400, "InputException": 400,
    "MarginException": 400, "HoldingException": 400, "PermissionException": 403, "NetworkException": 503,
    "DataException": 502, "GeneralException": 500,
}  # fmt: skip


def error_body(error_type: str, message: str) -> dict[str, Any]:
    """Kite's form of a no."""
    return {"status": "error", "message": message, "data": None, "error_type": error_type}


@dataclass
class Says(Fault):
    """Any answer: an object as JSON, text as it stands. An empty content type is not sent."""

    status: int
    body: Any
    content_type: str = "application/json"
    after: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    async def strike(self, accept: Any) -> Answer:
        if self.after:
            await accept()
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return Answer(self.status, body.encode(), self.content_type, self.headers)


@dataclass
class Broken(Fault):
    """An answer that ends in the middle of its body."""

    after: bool = True

    async def strike(self, accept: Any) -> Drop:
        if self.after:
            await accept()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
        return Drop(reset=False, sent=head + b'{"status":"success","data":{"order_id":"2611')


def refuses(error_type: str, message: str = "No.", status: int = 0) -> Says:
    """A no of this type; the status is the documented one unless given."""
    return Says(status or STATUSES.get(error_type, 400), error_body(error_type, message))


def too_many() -> Says:
    """429 from Kite itself."""
    return refuses("NetworkException", "Too many requests", 429)


def html(status: int, after: bool = False) -> Says:
    """A page for people, from whatever stands before Kite."""
    return Says(status, BAD_GATEWAY.replace("502 Bad Gateway", f"{status}"), "text/html", after)
