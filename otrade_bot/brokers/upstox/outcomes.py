"""How a write to Upstox ended: one total table from all that its client can return or raise.

| what came back | outcome |
|---|---|
| 2xx, JSON, status "success", exactly one id | Accepted |
| 2xx anything else: no JSON, a page, no id, several, "error", "partial_success", an unknown word | Unknown |
| a 4xx of DEFINITE with Upstox's own JSON error and a code that is not of DOUBTFUL | Refused |
| any other status (1xx, 3xx, 408, 409, 5xx, 0 for TLS), a 4xx as a page, without or with a strange code | Unknown |
| urllib3's errors: not connected, timed out, reset, torn answer; and everything else that is raised | Unknown |

Also where nothing can have left (no connection), a write is Unknown: the book tells, and costs no order.
"""

from __future__ import annotations

import json
import re
from typing import Any

from otrade_bot.brokers.outcomes import doubtful, said, taken
from otrade_bot.core.model import Outcome, Refused, Unknown

__all__ = ["DEFINITE", "DOUBTFUL", "answered", "objections", "raised"]

#: Upstox read the request and will not act on it. 408 and 409 may be about one that it acts on.
DEFINITE = frozenset({400, 401, 403, 404, 405, 406, 410, 415, 422, 423, 428, 429})
#: Errors of Upstox's own making, whatever the status says.
DOUBTFUL = frozenset({"UDAPI100500"})
_CODE = re.compile(r"UDAPI\d{3,}")


def answered(status: int, body: bytes) -> Outcome:
    """Of an answer that came whole."""
    if 200 <= status < 300:
        return _taken(body)
    found = objections(body)
    codes = {code for code, _ in found}
    if status in DEFINITE and codes and all(map(_CODE.fullmatch, codes)) and not codes & DOUBTFUL:
        return Refused(said("; ".join(text for _, text in found) or found[0][0]), found[0][0])
    told = "; ".join(f"{code} {text}".strip() for code, text in found)
    return Unknown(said(f"HTTP {status} {told}".strip()))


def raised(error: Exception) -> Outcome:
    """Of a call that brought no answer, or one that the client choked on."""
    status = getattr(error, "status", None)
    if type(error).__name__ == "ApiException" and isinstance(status, int):
        return answered(status, getattr(error, "body", None) or b"")
    return doubtful(error)


def objections(body: bytes) -> list[tuple[str, str]]:
    """(code, message) of each error in Upstox's own form; none where the body has another."""
    told = _json(body)
    if not isinstance(told, dict) or told.get("status") != "error" or not isinstance(told.get("errors"), list):
        return []
    return [
        (str(one.get("error_code") or one.get("errorCode") or ""), str(one.get("message") or ""))
        for one in told["errors"]
        if isinstance(one, dict)
    ]


def _taken(body: bytes) -> Outcome:
    told = _json(body)
    if not isinstance(told, dict):
        return Unknown("answered, but not in JSON")
    found = _ids(told.get("data"))
    if told.get("status") == "success" and len(found) == 1:
        return taken(found[0])
    return Unknown(said(f"answered {told.get('status')!r} with {len(found)} ids {found}"))


def _ids(data: Any) -> list[Any]:
    """Of an order or a GTT."""
    if not isinstance(data, dict):
        return []
    given = [data.get("order_id"), *_list(data, "order_ids"), *_list(data, "gtt_order_ids")]
    return [one for one in given if one is not None]


def _list(data: dict[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # UnicodeDecodeError is one
        return None
