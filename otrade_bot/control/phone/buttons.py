"""Which buttons are out, whose they are, and whether they were used. Pressing is judged here, before anything runs.

A button counts for what this process offered, once, to the person who was asked, for a quarter of an hour. The
commands behind it judge again (a flatten: its nonce, its 30 s, the positions that were shown).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from otrade_bot.control.reply import Action

__all__ = ["Offers", "Press", "keyboard"]

#: Telegram's longest callback data, bytes of UTF-8.
MOST_BYTES = 64

#: A label as short as this shares its row with another one.
SHORT = 20


class Press(Enum):
    """What a press is worth. The value is what the person is told."""

    GOOD = ""
    USED = "Answered already: nothing more was done."
    FOREIGN = "These buttons are another person's: nothing was done."
    OLD = "These buttons are too old: nothing was done. Ask again."


@dataclass(slots=True)
class _Offer:
    owner: int | None  #: a user id; None: whoever is heard in that chat
    at: float
    used: bool = False


class Offers:
    """Buttons by chat and line, the newest ``most`` of them, for ``seconds`` of ``wall`` (which always advances)."""

    def __init__(self, wall: Callable[[], float] = time.monotonic, *, seconds: float = 900.0, most: int = 500) -> None:
        self._wall, self._seconds, self._most = wall, seconds, most
        self._out: dict[tuple[int, str], _Offer] = {}

    def add(self, chat_id: int, actions: Sequence[Action], owner: int | None) -> None:
        """Before they are sent: a press may be here before Telegram's answer to the sending is. All buttons of one
        message are used up together; a line that is offered again counts as new."""
        offer = _Offer(owner, self._wall())
        for action in (one for one in actions if not one.url):
            self._out.pop((chat_id, action.line), None)
            self._out[chat_id, action.line] = offer
        while len(self._out) > self._most:
            del self._out[next(iter(self._out))]

    def press(self, chat_id: int, user_id: int, line: str) -> Press:
        """Judge a press; a good one uses the buttons up, another person's takes nothing from the owner."""
        offer = self._out.get((chat_id, line))
        if offer is None:
            return Press.OLD
        if offer.owner is not None and offer.owner != user_id:
            return Press.FOREIGN
        if offer.used:
            return Press.USED
        if self._wall() - offer.at > self._seconds:
            return Press.OLD
        offer.used = True
        return Press.GOOD


def keyboard(actions: Sequence[Action]) -> InlineKeyboardMarkup | None:
    """Buttons for actions, short ones two a row. A line that Telegram would not carry gets none: it would refuse the
    whole message."""
    rows: list[list[InlineKeyboardButton]] = []
    for action in actions:
        if not action.label.strip() or not 1 <= len(action.line.encode()) <= MOST_BYTES:
            continue
        button = (
            InlineKeyboardButton(action.label, url=action.url)
            if action.url
            else InlineKeyboardButton(action.label, callback_data=action.line)
        )
        if rows and len(rows[-1]) == 1 and max(len(rows[-1][0].text), len(action.label)) <= SHORT:
            rows[-1].append(button)
        else:
            rows.append([button])
    return InlineKeyboardMarkup(rows) if rows else None
