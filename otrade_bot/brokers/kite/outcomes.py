"""How a write to Kite ended: one total table from all that its client can return or raise.

| what came back | outcome |
|---|---|
| 2xx, and the client found an order or trigger id | Accepted |
| a 4xx of DEFINITE, Kite's JSON error with a type of REFUSALS and a message | Refused |
| 429, Kite's JSON error of type NetworkException | Refused: turned away before it reached the order system |
| any other status: 1xx, 3xx (never followed), 408, 409, 5xx, an error or an id under the wrong status | Unknown |
| a 4xx as a page, without a type, with a type nobody knows, with DataException or another NetworkException | Unknown |
| no JSON, no content type, no message, no id, a list where an object belongs: KeyError, TypeError, ... | Unknown |
| requests' and urllib3's errors: not connected, timed out, reset, torn answer; all else that is raised | Unknown |

Also where nothing can have left (no connection), a write is Unknown: the book tells, and costs no order.
The client loses the type (MarginException becomes GeneralException) and the status (a page becomes 502), so
both are taken from the answer itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from otrade_bot.brokers.outcomes import doubtful, said, taken
from otrade_bot.core.model import Accepted, Outcome, Refused, Unknown

__all__ = ["DEFINITE", "REFUSALS", "Seen", "raised", "returned"]

#: Kite read the request and will not act on it. 408 and 409 may be about one that it acts on.
DEFINITE = frozenset({400, 401, 403, 404, 405, 406, 410, 413, 415, 422, 428, 429})
#: Error types that say no. DataException and NetworkException say that the order system did not answer.
REFUSALS = frozenset(
    {"TokenException", "UserException", "PermissionException", "OrderException", "InputException",
     "MarginException", "HoldingException", "GeneralException"}
)  # fmt: skip
_TURNED_AWAY = (429, "NetworkException")


class Seen(NamedTuple):
    """The answer on the wire. ``error_type`` is '' where its body is not Kite's JSON error."""

    status: int
    error_type: str = ""


def returned(value: object, seen: Seen | None) -> Outcome:
    """Of a call that returned: an id, or the object of a GTT."""
    if seen is None or not 200 <= seen.status < 300:
        return Unknown(said(f"answered {value!r} under HTTP {seen.status if seen else 0}"))
    found = value.get("trigger_id") if isinstance(value, Mapping) else value
    outcome = taken(found)
    return outcome if isinstance(outcome, Accepted) else Unknown(said(f"answered without an id: {value!r}"))


def raised(error: BaseException, seen: Seen | None, *, native: bool) -> Outcome:
    """Of a call that raised; ``native`` where the client raised it as one of Kite's own errors."""
    if native and seen is not None and _says_no(seen):
        return Refused(said(str(error)), seen.error_type)
    return doubtful(error, seen.status if seen else 0)


def _says_no(seen: Seen) -> bool:
    return tuple(seen) == _TURNED_AWAY or (seen.status in DEFINITE and seen.error_type in REFUSALS)


def error_type(body: Any) -> str:
    """Of a decoded body; '' where it is not Kite's error."""
    if not isinstance(body, Mapping) or body.get("status") != "error":
        return ""
    found = body.get("error_type")
    return found if isinstance(found, str) else ""
