"""Which buttons are out, whose they are, and whether they were used. Pressing is judged here, before anything runs.

What a button carries is a word made by chance: the command behind it never leaves this process. It counts for the
person who was asked, in the chat and on the message where it was shown, once, and not for long: what acts for 30 s,
what reads for a quarter of an hour. The commands judge again (a question: its nonce, its 30 s, what was shown).
Lasting buttons count for everybody who is heard in their chat, as often as they are pressed, also after a restart.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from otrade_bot.control.reply import Action
from otrade_bot.core.lang import t
from otrade_bot.core.masking import mask_text

__all__ = ["SHELF", "Deck", "Offers", "Press", "Pressed", "Shelf", "flattens", "keyboard"]

#: A label as short as this shares its row with another one.
SHORT = 20
#: Key of control.json under which lasting buttons stay.
SHELF = "buttons"
#: Lasting buttons that are remembered; the oldest are forgotten first.
MOST_LASTING = 1000
#: Before the word, what is still known of a button that has been forgotten: a question about a flatten is asked again.
_FLATTEN, _LASTING, _OTHER = "f", "l", "a"


class Press(Enum):
    """What a press is worth."""

    GOOD = "good"
    USED = "used"
    FOREIGN = "foreign"
    LATE = "late"
    OLD = "old"

    @property
    def words(self) -> str:
        """What the person is told."""
        match self:
            case Press.USED:
                return t("Answered already: nothing more was done.")
            case Press.FOREIGN:
                return t("These buttons are another person's: nothing was done.")
            case Press.LATE:
                return t("Too late: this button counts for a moment only. Nothing was done.")
            case Press.OLD:
                return t("These buttons are too old: nothing was done. Ask again.")
        return ""


class Shelf(Protocol):
    """Where lasting buttons outlive the process: a part of control.json."""

    def part(self, key: str) -> Mapping[str, Any]: ...
    def keep_part(self, key: str, document: dict[str, Any]) -> str: ...


@dataclass(eq=False, slots=True)
class Deck:
    """The buttons of one answer or notice. ``owner``: a user id; None: whoever is heard in that chat."""

    chat_id: int
    owner: int | None
    at: float
    buttons: tuple[tuple[Action, str], ...]  #: with the word that each carries
    messages: set[int] = field(default_factory=set)  #: that are known to show it
    unknown: int = 0  #: messages that may show it, and whose id nobody knows yet
    used: bool = False

    def markup(self) -> InlineKeyboardMarkup | None:
        return keyboard(self.buttons)

    def sending(self) -> None:
        """A press may be here before Telegram's answer to the sending is."""
        self.unknown += 1

    def shown(self, message_id: int) -> None:
        """It stands on this message."""
        self.unknown -= 1
        self.messages.add(message_id)

    def unsent(self) -> None:
        """That message does not exist."""
        self.unknown -= 1

    def on(self, message_id: int | None) -> bool:
        """Whether it may stand on this message; a message whose id was lost is known from then on."""
        if message_id is None or message_id in self.messages:
            return message_id is not None
        if self.unknown <= 0:
            return False
        self.unknown -= 1
        self.messages.add(message_id)
        return True


@dataclass(frozen=True, slots=True)
class Pressed:
    """The verdict, and the button where one is known."""

    press: Press
    action: Action | None = None


class Offers:
    """``wall`` gives seconds that always advance, ``acts`` says of a line whether it may change something. Buttons that
    act count for ``acting_s``, others and those of notices for ``seconds``. The newest ``most`` are remembered."""

    def __init__(
        self,
        wall: Callable[[], float] = time.monotonic,
        *,
        acts: Callable[[str], bool] = lambda line: True,
        shelf: Shelf | None = None,
        seconds: float = 900.0,
        acting_s: float = 30.0,
        most: int = 5000,
    ) -> None:
        self._wall, self._acts, self._seconds, self._acting_s, self._most = wall, acts, seconds, acting_s, most
        self._out: dict[str, tuple[Deck, Action]] = {}
        self._shelf = shelf
        self._lasting: dict[str, tuple[int, Action]] = dict(_read(shelf.part(SHELF))) if shelf is not None else {}

    def deck(self, chat_id: int, actions: Sequence[Action], owner: int | None) -> Deck:
        """Before they are sent. All buttons of one deck are used up together, but for the lasting ones."""
        known = len(self._lasting)
        made = Deck(chat_id, owner, self._wall(), tuple((one, self._word(chat_id, one)) for one in actions))
        if len(self._lasting) > known:
            self._keep()
        for action, word in made.buttons:
            if not (action.url or action.lasting):
                self._out[word] = made, action
        while len(self._out) > self._most:
            del self._out[next(iter(self._out))]
        return made

    def press(
        self, chat_id: int, user_id: int, message_id: int | None, word: str,
        spends: Callable[[str], bool] = lambda line: True,
    ) -> Pressed:  # fmt: skip
        """Judge a press; a good one uses the deck up where it ``spends`` it, another person's takes nothing from the
        owner."""
        if (kept := self._lasting.get(word)) is not None:
            return Pressed(Press.GOOD, kept[1]) if kept[0] == chat_id else Pressed(Press.OLD)
        deck, action = self._out.get(word, (None, None))
        if deck is None or action is None or deck.chat_id != chat_id:
            return Pressed(Press.OLD)
        if deck.owner is not None and deck.owner != user_id:
            return Pressed(Press.FOREIGN, action)
        if not deck.on(message_id):
            return Pressed(Press.OLD, action)
        if deck.used:
            return Pressed(Press.USED, action)
        if self._wall() - deck.at > self._counts(deck, action):
            return Pressed(Press.LATE if self._wall() - deck.at <= self._seconds else Press.OLD, action)
        deck.used = spends(action.line) and not action.again
        return Pressed(Press.GOOD, action)

    def stays(self, word: object) -> bool:
        """Whether this is a lasting button's."""
        return word in self._lasting

    def _counts(self, deck: Deck, action: Action) -> float:
        if action.seconds:
            return action.seconds
        acts = deck.owner is not None and self._acts(action.line)
        return self._acting_s if acts else self._seconds

    def _word(self, chat_id: int, action: Action) -> str:
        if action.url:
            return ""
        if action.lasting:
            return self._lasting_word(chat_id, action)
        return (_FLATTEN if action.line.startswith("/flatten yes") else _OTHER) + secrets.token_urlsafe(15)

    def _lasting_word(self, chat_id: int, action: Action) -> str:
        """The same for the same button in the same chat: a card that is edited keeps its buttons."""
        key = (chat_id, action)
        for word, kept in self._lasting.items():
            if kept == key:
                return word
        word = _LASTING + secrets.token_urlsafe(15)
        self._lasting[word] = key
        return word

    def _keep(self) -> None:
        """Once a deck: the disk is asked to hold it."""
        while len(self._lasting) > MOST_LASTING:
            del self._lasting[next(iter(self._lasting))]
        if self._shelf is not None:
            with suppress(Exception):  # a restart forgets them then: they say that they are too old
                self._shelf.keep_part(SHELF, {word: _kept(*one) for word, one in self._lasting.items()})


def _kept(chat_id: int, action: Action) -> dict[str, Any]:
    return {"chat": chat_id, "label": action.label, "line": action.line, "edit": action.edit}


def _read(part: Mapping[str, Any]) -> Iterable[tuple[str, tuple[int, Action]]]:
    """What is not of our form is none of ours."""
    for word, found in part.items():
        match found:
            case {"chat": int(chat), "label": str(label), "line": str(line), "edit": bool(edit)}:
                yield word, (chat, Action(label, line, edit=edit, lasting=True))


def flattens(word: str) -> bool:
    """Of a button that nobody remembers: whether it was the yes to a flatten."""
    return word.startswith(_FLATTEN)


def keyboard(buttons: Sequence[tuple[Action, str]]) -> InlineKeyboardMarkup | None:
    """Buttons with what they carry, short ones two a row. One without a label or anything to do gets none: Telegram
    would refuse the whole message."""
    rows: list[list[InlineKeyboardButton]] = []
    for action, word in buttons:
        label = mask_text(action.label)
        if not label.strip() or not (action.url or action.line.strip()):
            continue
        button = InlineKeyboardButton(label, url=action.url or None, callback_data=None if action.url else word)
        if rows and len(rows[-1]) == 1 and max(len(rows[-1][0].text), len(label)) <= SHORT:
            rows[-1].append(button)
        else:
            rows.append([button])
    return InlineKeyboardMarkup(rows) if rows else None
