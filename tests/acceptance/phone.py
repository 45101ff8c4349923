"""What stands on the phone, taken apart as a person reads it: pushes by time, headline and symbol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.venues.telegram import BotApi, Button, Sent

#: Headlines of pushes, the longest first, so that a headline is not taken for the beginning of another one.
HEADS = sorted(
    (
        "Started", "Stopped", "Before the open", "Market open", "No more entries today", "Square-off",
        "Market closed", "Continuous trading ended", "Next session", "Day ended", "Signal", "Refused",
        "Order accepted", "Order changed", "Order REFUSED", "Order cancelled", "Stop triggered", "Partly filled",
        "Filled", "Stop level set", "Stop level moved", "Stop resized", "STOP MISSING", "Closed", "Entries BLOCKED",
        "Block lifted", "Flatten queued", "Flatten remembered", "Flatten started", "Flatten done", "NOT FLAT",
        "Recovered", "RECOVERED", "Alert", "ALERT",
    ),
    key=len, reverse=True,
)  # fmt: skip
#: What the outbox adds to a message that may be there already, or that comes late.
_MARK = re.compile(r"\(repeat: .*\)|delivered .* min late")
_PUSH = re.compile(r"(\d\d:\d\d:\d\d) (.+)", re.S)


@dataclass(frozen=True)
class Push:
    """One notice. ``rest`` is what follows the headline and the symbol."""

    time: str
    head: str
    symbol: str
    rest: str
    message: int
    silent: bool

    @property
    def key(self) -> tuple[str, str, str]:
        return self.time, self.head, self.symbol


def pushes(sent: Iterable[Sent], label: str) -> list[Push]:
    """All notices in the order in which they stand in the chat; answers are left out. Every message, whatever it is,
    says ``label``."""
    found = []
    for message in sent:
        said = message.text.split("\n")
        while _MARK.fullmatch(said[-1]):
            said.pop()
        assert label in (said[0], said[-1]), f"a message does not say {label!r}: {message.text}"
        if said[0] != label:
            found += [_push(part, message) for part in "\n".join(said[:-1]).split("\n\n")]
    return found


def _push(part: str, message: Sent) -> Push:
    parted = _PUSH.fullmatch(part)
    assert parted, f"a push without its time: {part!r}"
    time, said = parted.groups()
    head = next((head for head in HEADS if re.match(rf"{re.escape(head)}\b", said)), None)
    assert head, f"no headline is known of {part!r}"
    first, _, below = said.removeprefix(head).lstrip(" ").partition("\n")
    symbol, _, rest = first.partition(" ")
    if head in SYMBOLLESS or not re.fullmatch(r"[A-Z0-9&-]+", symbol):
        symbol, rest = "", first
    return Push(time, head, symbol, f"{rest}\n{below}".strip(), message.message_id, message.silent)


#: These are of the whole market or the whole service.
SYMBOLLESS = frozenset(
    {"Started", "Stopped", "Before the open", "Market open", "No more entries today", "Square-off", "Market closed",
     "Continuous trading ended", "Next session", "Day ended", "Entries BLOCKED", "Block lifted", "Flatten queued",
     "Flatten remembered", "Flatten started", "Flatten done", "NOT FLAT"}
)  # fmt: skip


def lane_of(head: str) -> str:
    """In which lane of a chat notices with that headline stand: the order holds within it."""
    often = ("Signal", "Refused", "Order", "Stop ", "Alert", "Recovered")
    return "news" if head.startswith(often) else "first"


class Hand:
    """One person at the phone: says something and waits for the answer to it. ``topic`` of a group that has some."""

    def __init__(self, api: BotApi, user_id: int, chat_id: int | None = None, topic: int = 0) -> None:
        self.api, self.user_id, self.chat_id = api, user_id, user_id if chat_id is None else chat_id
        self._extra = {"message_thread_id": topic, "is_topic_message": True} if topic else None

    def after(self, message_id: int) -> list[Sent]:
        return [sent for sent in self.api.to(self.chat_id) if sent.message_id > message_id]

    @property
    def newest(self) -> int:
        return max((sent.message_id for sent in self.api.sent), default=0)

    async def ask(self, line: str, wanted: str | Callable[[Sent], Any], seconds: float = 30) -> Sent:
        """Say ``line``; the first message after it that has ``wanted``."""
        before = self.newest
        self.api.say(self.user_id, line, self.chat_id, extra=self._extra)
        return await self.hears(wanted, before, seconds)

    async def hears(self, wanted: str | Callable[[Sent], Any], after: int = 0, seconds: float = 60) -> Sent:
        """The first message after ``after`` that has ``wanted``."""

        def found() -> Sent | None:
            fits = (lambda sent: wanted in sent.text) if isinstance(wanted, str) else wanted
            return next((sent for sent in self.after(after) if fits(sent)), None)

        found_one = await self.api.until(found, seconds)
        assert found_one is not None
        return found_one

    async def press(self, sent: Sent, label_or_data: str, *, forged: bool = False) -> str:
        """Press and wait for what the press is told: the toast."""
        query = self.api.press(self.user_id, sent.message_id, label_or_data, self.chat_id, forged=forged)
        await self.api.until(lambda: query in self.api.answers, 30)
        return self.api.answers[query].text


def buttons(sent: Sent) -> list[Button]:
    """As they were when it came."""
    return [button for row in sent.versions[0].rows for button in row]
