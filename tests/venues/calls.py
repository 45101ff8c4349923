"""The calls a bot has made, and the faults that wait for the next ones."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from .faults import Fault
from .loopback import Answer, Drop


@dataclass
class Call:
    """One request. ``outcome``: "ok", "400 Bad Request: ...", "reset", "closed", "gone" (the client did not wait)."""

    method: str
    params: dict[str, str]  #: as they came over the wire
    at: float  #: wall, s
    outcome: str = "under way"
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)  #: name and content, by field

    @property
    def chat_id(self) -> int | None:
        found = self.params.get("chat_id", "")
        return int(found) if re.fullmatch(r"-?\d+", found) else None


@dataclass(eq=False)
class Queued:
    """A fault that waits for its call. ``times`` None: for every one."""

    method: str
    fault: Fault
    times: int | None
    chat_id: int | None

    def meets(self, call: Call) -> bool:
        here = self.chat_id is None or self.chat_id == call.chat_id
        return here and self.method.lower() in ("*", call.method.lower())


def outcome(answer: Answer | Drop) -> str:
    """What became of a call, for people."""
    if isinstance(answer, Drop):
        return "reset" if answer.reset else "closed"
    if answer.status == 200:
        return "ok"
    if answer.content_type != "application/json":
        return f"{answer.status} (no JSON)"
    return f"{answer.status} {json.loads(answer.body)['description']}"
