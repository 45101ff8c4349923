"""Telegram on 127.0.0.1: the Bot API for tests, with chats to type in and faults to inject.

    async with BotApi(chats=[7]) as api:
        bot = telegram.Bot(api.token, base_url=api.base_url, base_file_url=api.base_file_url)
        api.say(7, "/status")
        await api.until(lambda: api.sent)

What a bot sends, and what it is answered, is held against the published description of the Bot API. Whatever is not
of its form is a violation, and leaving the context raises AssertionError with all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable
from inspect import isawaitable
from types import TracebackType
from typing import Any, TypeVar

from .calls import Call, Queued, outcome
from .chats import BOT_ID, FILE_METHODS, METHODS, CallbackAnswer, Chats
from .faults import (
    BadGateway,
    BadRequest,
    Closed,
    Conflict,
    Fault,
    Forbidden,
    Hang,
    NotFound,
    Refused,
    Reset,
    TooMany,
    Unauthorized,
    refusal,
)
from .limits import Limits
from .loopback import Answer, Drop, Loopback, Request
from .markup import commands
from .messages import Button, Refusal, Sent, Version
from .photos import multipart
from .schema import Schema, published

__all__ = [
    "BadGateway",
    "BadRequest",
    "BotApi",
    "Button",
    "Call",
    "CallbackAnswer",
    "Closed",
    "Conflict",
    "Fault",
    "Forbidden",
    "Hang",
    "NotFound",
    "Refused",
    "Reset",
    "Sent",
    "TooMany",
    "Unauthorized",
    "Version",
]

TOKEN = re.compile(r"[1-9]\d{2,}:[\w-]{30,}")

T = TypeVar("T")


class BotApi:
    """The Bot API of one bot. ``chats`` are those that know the bot; who says or presses something joins them."""

    def __init__(self, chats: Iterable[int] = (7,), *, token: str = f"{BOT_ID}:{'AbC-0_xyz' * 4}") -> None:
        self.token = token
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.limits: Limits | None = None  #: who writes faster gets a 429
        self._chats = Chats()
        self._faults: list[Queued] = []
        self._hangs: list[Hang] = []
        self._changed = asyncio.Event()
        self._loopback = Loopback(self._handle, self.violations.append)
        for chat_id in chats:
            self._chats.open(chat_id)

    @property
    def sent(self) -> list[Sent]:
        """Every message accepted, in order."""
        return self._chats.sent

    @property
    def answers(self) -> dict[str, CallbackAnswer]:
        """What presses were answered, by the query's id."""
        return self._chats.answers

    @property
    def deleted(self) -> list[tuple[int, str]]:
        """Chat and words of people's messages that the bot removed."""
        return self._chats.deleted

    def written(self, chat_id: int) -> list[str]:
        """What people wrote in a chat, as far as it is still to be seen there."""
        return self._chats.written(chat_id)

    @property
    def commands(self) -> list[dict[str, str]]:
        """The menu of everybody: the last setMyCommands without a scope."""
        return self._chats.menus.get((), [])

    def menu(self, user_id: int, chat_id: int | None = None) -> list[str]:
        """The commands that this person's phone offers in a chat (None: the private one), as Telegram looks them up."""
        return [each["command"] for each in self._chats.menu(user_id, user_id if chat_id is None else chat_id)]

    def pinned(self, chat_id: int) -> list[int]:
        """Ids of the pinned messages, the newest last."""
        return list(self._chats.pinned.get(chat_id, ()))

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """Updates that the bot has not confirmed."""
        return self._chats.updates.pending

    @property
    def polling(self) -> bool:
        """The bot waits in a long poll right now."""
        return self._chats.updates.polling

    # The addresses, and being there at all.

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._loopback.port}/bot"

    @property
    def base_file_url(self) -> str:
        return f"http://127.0.0.1:{self._loopback.port}/file/bot"

    async def __aenter__(self) -> BotApi:
        self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for hang in self._hangs:
            hang.release()
        await self._loopback.close()
        if not self.violations:
            return
        told = "not the Bot API:\n" + "\n".join(self.violations)
        if error is None:
            raise AssertionError(told)
        error.add_note(told)

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._loopback.up()
        self._tell()

    def down(self) -> None:
        """Reset every connection and refuse new ones."""
        self._loopback.down()
        self._tell()

    # What people do.

    def open_chat(self, chat_id: int, chat_type: str | None = None, name: str | None = None) -> None:
        """Let the bot write there. Negative ids are groups."""
        self._chats.open(chat_id, chat_type, name)

    def set_webhook(self, address: str) -> None:
        """Somebody set one: getUpdates gets 409 until deleteWebhook."""
        self._chats.set_webhook(address)

    def say(
        self,
        user_id: int,
        text: str,
        chat_id: int | None = None,
        *,
        date: float | None = None,
        name: str = "Asha",
        chat_type: str | None = None,
        kind: str = "message",
        extra: dict[str, Any] | None = None,
    ) -> int:
        """A person writes. ``date`` is wall time in s, for a message that is late; ``kind`` the field of the Update,
        such as ``edited_message``; ``extra`` more fields of the Message, or others. Returns the update_id (0: of a kind
        the bot did not ask for)."""
        chat = self._chats.where(user_id, chat_id, chat_type, name)
        message_id = self._chats.incoming(chat, text)
        message = {"message_id": message_id, "from": _person(user_id, name), "chat": chat, "text": text}
        message["date"] = int(time.time() if date is None else date)
        if found := commands(text):
            message["entities"] = found
        return self._queue(kind, message | (extra or {}))

    def press(
        self,
        user_id: int,
        message_id: int,
        data_or_label: str,
        chat_id: int | None = None,
        *,
        name: str = "Asha",
        forged: bool = False,
    ) -> str:
        """A person presses a button the message has, or had when their phone last looked. ``forged``: data that was
        never on a button. Returns the query's id. Raises LookupError if there is no such message or button."""
        sent = next((s for s in self.sent if s.message_id == message_id and chat_id in (None, s.chat_id)), None)
        if sent is None:
            raise LookupError(f"no message {message_id}; there are {[s.message_id for s in self.sent]}")
        button = Button(data_or_label, data_or_label) if forged else sent.button(data_or_label)
        if button is None or button.data is None:
            raise LookupError(f"no button {data_or_label!r} on message {message_id}; it has {sent.buttons}")
        query_id, message = self._chats.query(sent)
        pressed = {"id": query_id, "from": _person(user_id, name), "message": message, "data": button.data}
        self._queue("callback_query", pressed | {"chat_instance": str(sent.chat_id)})
        return query_id

    def answer_to(self, user_id: int, message_id: int, text: str, chat_id: int | None = None, **more: Any) -> int:
        """A person writes in reply to one of the bot's messages. ``more`` as of ``say``."""
        sent = next(s for s in self.sent if s.message_id == message_id and chat_id in (None, s.chat_id))
        extra = {"reply_to_message": self._chats.shown(sent), **more.pop("extra", {})}
        return self.say(user_id, text, sent.chat_id, extra=extra, **more)

    def unpin(self, chat_id: int, message_id: int) -> None:
        """A person unpins a message."""
        self._chats.pinned[chat_id].remove(message_id)
        self._tell()

    def remove(self, chat_id: int, message_id: int) -> None:
        """A person deletes one of the bot's messages: it can no longer be edited."""
        self._chats.forget(chat_id, message_id)
        self._tell()

    # What goes wrong, and what is seen.

    def fail(self, method: str, fault: Fault, times: int | None = 1, *, chat_id: int | None = None) -> None:
        """Let the next calls of a method ("*": any) fail; ``times=None``: until ``heal``. ``chat_id``: only those
        to that chat."""
        if isinstance(fault, Hang):
            fault.on_change = self._tell
            self._hangs.append(fault)
        self._faults.append(Queued(method, fault, times, chat_id))

    def heal(self, method: str = "*", *, chat_id: int | None = None) -> None:
        """Forget the faults still queued for a method ("*": all), or only those of one chat."""
        gone = [f for f in self._faults if method in ("*", f.method) and chat_id in (None, f.chat_id)]
        self._faults = [f for f in self._faults if f not in gone]

    def to(self, chat_id: int) -> list[Sent]:
        """The messages of one chat."""
        return [sent for sent in self.sent if sent.chat_id == chat_id]

    def called(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.method.lower() == method.lower()]

    async def until(self, condition: Callable[[], T], timeout: float = 10) -> T:  # noqa: ASYNC109
        """Wait until ``condition()`` is true, and return it. It is asked on every change here and, as it may be about
        the bot, 50 times a second besides. TimeoutError says what was there."""
        deadline = time.monotonic() + timeout
        while True:
            changed = self._changed
            if found := condition():
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not within {timeout} s. {self._picture()}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, 0.02))

    def _picture(self) -> str:
        sent = [f"{s.message_id} to {s.chat_id}: {s.text!r} {[b.label for b in s.buttons]}" for s in self.sent[-8:]]
        calls = [f"{call.method}: {call.outcome}" for call in self.calls[-8:]]
        faults = [f"{f.method}: {f.fault}" for f in self._faults]
        return (
            f"{len(self.sent)} sent, the last {sent}; {len(self.calls)} calls, the last {calls}; faults left {faults}; "
            f"{len(self.waiting)} updates unconfirmed, polling {self.polling}; violations {self.violations}"
        )

    # How a request is answered.

    async def _handle(self, request: Request) -> Answer | Drop:
        found = re.fullmatch(r"/bot([^/]*)/(\w+)", request.path)
        if not found or not TOKEN.fullmatch(found.group(1)):
            return refusal(404, "Not Found")
        if found.group(1) != self.token:
            return refusal(401, "Unauthorized")
        params, files = self._params(request)
        call = Call(found.group(2), params, time.time(), files=files)
        self.calls.append(call)
        self._check(lambda schema: schema.request(call.method, call.params) if schema.knows(call.method) else [])
        self._tell()
        try:
            answer = await self._answer(call)
            call.outcome = outcome(answer)
        except asyncio.CancelledError:
            call.outcome = "gone"
            raise
        finally:
            self._tell()
        return answer

    def _params(self, request: Request) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
        """Parameters and files; a file that is a parameter's value itself stands in it as attach://FIELD."""
        if not request.body:
            return request.query, {}
        if request.content_type == "multipart/form-data":
            fields, files = multipart(request.headers["content-type"], request.body)
            named = {name: f"attach://{name}" for name in files if not any(name in said for said in fields.values())}
            return request.query | fields | named, files
        if request.content_type != "application/x-www-form-urlencoded":
            self.violations.append(f"{request.path.rpartition('/')[2]}: a body of type {request.content_type!r}")
            return request.query, {}
        return request.query | request.form(), {}

    async def _answer(self, call: Call) -> Answer | Drop:
        async def accept() -> Answer:
            return await self._accept(call)

        if self.limits is not None and call.method.lower().startswith("send") and call.chat_id is not None:
            wait = self.limits.refuses(call.chat_id)
            if wait:
                return await TooMany(wait).strike(accept)
        queued = next((f for f in self._faults if f.meets(call)), None)
        if queued is None:
            return await accept()
        if queued.times is not None:
            queued.times -= 1
            if queued.times <= 0:
                self._faults.remove(queued)
        return await queued.fault.strike(accept)

    async def _accept(self, call: Call) -> Answer:
        """Do what was asked for."""
        work = METHODS.get(call.method.lower())
        if work is None:
            self.violations.append(f"{call.method}: not among the methods of this venue")
            return refusal(404, "Not Found: method not found")
        try:
            given = (call.params, call.files) if call.method.lower() in FILE_METHODS else (call.params,)
            result = work(self._chats, *given)
            if isawaitable(result):
                result = await result
        except Refusal as no:
            return refusal(no.code, no.description)
        self._check(lambda schema: schema.result(call.method, result))
        self._tell()
        return Answer(200, json.dumps({"ok": True, "result": result}).encode())

    def _queue(self, kind: str, payload: dict[str, Any]) -> int:
        update_id = self._chats.updates.add(kind, payload)
        self._check(lambda schema: schema.value({"update_id": update_id, kind: payload}, "Update", f"a new {kind}"))
        self._tell()
        return update_id

    def _check(self, check: Callable[[Schema], list[str]]) -> None:
        schema = published()
        if schema is not None:
            self.violations += check(schema)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _person(user_id: int, name: str) -> dict[str, Any]:
    return {"id": user_id, "is_bot": False, "first_name": name, "language_code": "en"}


if __name__ == "__main__":
    from .chat import main

    asyncio.run(main(BotApi()))
