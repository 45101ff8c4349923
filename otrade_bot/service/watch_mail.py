"""The watchdog's own way to Telegram: plain HTTP, one chat after the other, until each message has been taken.

What waits is in the watchdog's state file, so that a watchdog that is killed tells it after its start. At least
once: an answer that is lost may mean that a message comes twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import httpx

from otrade_bot.control.reply import Reply, italic, lines, text
from otrade_bot.control.words import ago, count
from otrade_bot.core.clock import SECOND
from otrade_bot.core.lang import Language, speaking, t
from otrade_bot.core.masking import mask_text
from otrade_bot.service.watch_settings import Chat, Settings

__all__ = ["Letter", "Mail"]

#: One request may take so long; a Telegram that hangs is left alone until the next look.
PATIENCE_S = 10.0
#: After a failure, s; longer and longer.
PAUSES = (2.0, 5.0, 10.0, 20.0, 30.0)
#: A message that comes later than this says so.
LATE = 60 * SECOND
#: Messages kept for all chats; the oldest go first.
MOST = 200
#: Longest message in HTML; it is built of few lines, and cut nowhere else.
ROOM = 3900


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one chat. ``at``: when it was written, wall ns."""

    chat_id: int
    topic: int | None
    language: str
    html: str
    plain: str
    at: int

    @classmethod
    def read(cls, found: object) -> Letter | None:
        """None for what is none."""
        try:
            assert isinstance(found, Mapping)
            topic = found["topic"]
            return cls(
                int(found["chat_id"]), None if topic is None else int(topic), str(found["language"]),
                str(found["html"]), str(found["plain"]), int(found["at"]),
            )  # fmt: skip
        except (AssertionError, KeyError, TypeError, ValueError):
            return None


@dataclass(slots=True)
class Mail:
    """``log`` takes a line for whoever runs it. ``steady`` gives seconds that only advance."""

    settings: Settings
    log: Callable[[str], None]
    waiting: list[Letter] = field(default_factory=list)
    steady: Callable[[], float] = time.monotonic
    transport: httpx.BaseTransport | None = None
    _client: httpx.Client | None = None
    _failed: int = 0  #: passes in a row that got nowhere
    _not_before: float = 0.0
    _held: dict[int, float] = field(default_factory=dict)  #: by chat: until when Telegram wants peace

    def put(self, words: Callable[[], Reply], chats: Sequence[Chat], now: int) -> None:
        """The same words for every chat, in its language."""
        for chat in dict.fromkeys(chats):
            with speaking(chat.language):
                said = words().split(ROOM)[0]
            plain = mask_text(said.to_plain())
            self.waiting.append(
                Letter(chat.chat_id, chat.topic, chat.language, mask_text(said.to_html()), plain, now)
            )
        del self.waiting[:-MOST]

    def send(self, now: int) -> bool:
        """Try what waits; True where something changed. Never raises."""
        if not self.waiting or not self.settings.token or self.steady() < self._not_before:
            return False
        before = len(self.waiting)
        try:
            self._pass(now)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self._pause(f"Telegram cannot be reached: {type(error).__name__}")
        else:
            if len(self.waiting) < before:
                self._failed = 0
        return len(self.waiting) < before

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _pass(self, now: int) -> None:
        """In order within a chat; a chat that has to wait holds up no other."""
        blocked = {chat for chat, until in self._held.items() if until > self.steady()}
        for letter in tuple(self.waiting):
            if letter.chat_id in blocked:
                continue
            if self._sent(letter, now):
                self.waiting.remove(letter)
            else:
                blocked.add(letter.chat_id)
                if self.steady() < self._not_before:
                    return  # not this chat's fault alone

    def _sent(self, letter: Letter, now: int) -> bool:
        """It need not be tried again."""
        answer = self._posted(letter, now)
        if answer.status_code == 200:
            self._held.pop(letter.chat_id, None)
            return True
        if answer.status_code in (400, 403):
            self.log(f"chat {letter.chat_id} takes no message ({_why(answer)}): dropped")
            return True
        if answer.status_code == 429:
            self._held[letter.chat_id] = self.steady() + _retry_after(answer)
            self.log(f"chat {letter.chat_id}: Telegram wants peace for {_retry_after(answer):.0f} s")
            return False
        self._pause(f"Telegram answers {answer.status_code} ({_why(answer)})")
        return False

    def _posted(self, letter: Letter, now: int) -> httpx.Response:
        """As it should look; what Telegram refuses of that in plain words, in the chat the group has become, and at
        last without its topic."""
        answer = self._post(letter, now, html=True)
        if answer.status_code == 400 and (moved := _moved_to(answer)):
            letter = replace(letter, chat_id=moved)
            answer = self._post(letter, now, html=True)
        for plainer in (letter, replace(letter, topic=None)):
            if answer.status_code == 400:
                self.log(f"chat {letter.chat_id}: Telegram refused a message ({_why(answer)}): tried more plainly")
                answer = self._post(plainer, now, html=False)
        return answer

    def _post(self, letter: Letter, now: int, *, html: bool) -> httpx.Response:
        if self._client is None:
            self._client = httpx.Client(timeout=PATIENCE_S, transport=self.transport)
        body: dict[str, Any] = {"chat_id": letter.chat_id, "text": _dated(letter, now, html=html)}
        if html:
            body["parse_mode"] = "HTML"
        if letter.topic is not None:
            body["message_thread_id"] = letter.topic
        return self._client.post(f"{self.settings.base_url}{self.settings.token}/sendMessage", data=body)

    def _pause(self, why: str) -> None:
        if not self._failed:
            self.log(f"{why}; {count(len(self.waiting), 'message')} to send, tried again until taken")
        self._not_before = self.steady() + PAUSES[min(self._failed, len(PAUSES) - 1)]
        self._failed += 1

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(letter) for letter in self.waiting]


def _dated(letter: Letter, now: int, *, html: bool) -> str:
    """The time stands in the message; that it comes late stands under it."""
    body = letter.html if html else letter.plain
    if now - letter.at < LATE:
        return body
    language: Language = "hi" if letter.language == "hi" else "en"
    with speaking(language):
        late = lines(italic(text(t("delivered {span} late", span=ago((now - letter.at) // SECOND * SECOND)))))
    return f"{body}\n{late.to_html() if html else late.to_plain()}"


def _why(answer: httpx.Response) -> str:
    """Telegram's own words, without anything secret."""
    return mask_text(str(_body(answer).get("description", "no reason")))[:200]


def _moved_to(answer: httpx.Response) -> int:
    """The id of the supergroup that a group has become, 0 for none."""
    parameters = _body(answer).get("parameters")
    moved = parameters.get("migrate_to_chat_id") if isinstance(parameters, Mapping) else None
    return moved if isinstance(moved, int) else 0


def _retry_after(answer: httpx.Response) -> float:
    parameters = _body(answer).get("parameters")
    wanted = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
    return float(wanted) if isinstance(wanted, (int, float)) and 0 < wanted < 86_400 else 5.0


def _body(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
