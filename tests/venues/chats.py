"""The bot's side of Telegram: its chats, its messages, and the methods it may call."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .messages import Refusal, Sent, Version, as_message, caption, content, inline_rows, markup
from .photos import NoPhotoError, Photo, photo
from .updates import Terminated, Updates

Params = dict[str, str]
Files = dict[str, tuple[str, bytes]]
Scope = tuple[tuple[str, Any], ...]

BOT_ID = 7_700_000_001
ME = {
    "id": BOT_ID,
    "is_bot": True,
    "first_name": "OTrade",
    "username": "otrade_loopback_bot",
    "can_join_groups": True,
    "can_read_all_group_messages": True,
    "supports_inline_queries": False,
}
WEBHOOK = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
STALE_QUERY = "query is too old and response timeout expired or query ID is invalid"
UNCHANGED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current "
    "content and reply markup of the message"
)


@dataclass(frozen=True)
class CallbackAnswer:
    """What a person sees after pressing a button."""

    text: str
    show_alert: bool


class Chats:
    """Who knows the bot, what it wrote, and what it was asked."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answers: dict[str, CallbackAnswer] = {}
        self.menus: dict[Scope, list[dict[str, str]]] = {}
        self.pinned: dict[int, list[int]] = {}
        self._gone: set[tuple[int, int]] = set()
        self._webhook = ""
        self.updates = Updates()
        self._chats: dict[int, dict[str, Any]] = {}
        self._theirs: dict[tuple[int, int], str] = {}
        self.deleted: list[tuple[int, str]] = []
        self._open_queries: set[str] = set()
        self._message_ids, self._query_ids = itertools.count(1), itertools.count(4_000_000_000_000_000_001)

    def open(self, chat_id: int, chat_type: str | None = None, name: str | None = None) -> dict[str, Any]:
        """Make a chat known to the bot. Negative ids are groups."""
        kind = chat_type or ("private" if chat_id > 0 else "supergroup" if chat_id < -(10**12) else "group")
        named = {"first_name": name or f"user {chat_id}"} if kind == "private" else {"title": name or "Desk"}
        self._chats[chat_id] = {"id": chat_id, "type": kind, **named}
        return self._chats[chat_id]

    def where(self, user_id: int, chat_id: int | None, chat_type: str | None, name: str) -> dict[str, Any]:
        """The chat somebody writes in; one that is new becomes known."""
        chat_id = user_id if chat_id is None else chat_id
        known = self._chats.get(chat_id)
        if known is not None and chat_type in (None, known["type"]):
            return known
        return self.open(chat_id, chat_type, name if chat_id == user_id else None)

    def incoming(self, chat: dict[str, Any], text: str) -> int:
        """The id of a message from a person."""
        message_id = next(self._message_ids)
        self._theirs[chat["id"], message_id] = text
        return message_id

    def written(self, chat_id: int) -> list[str]:
        """What people wrote and their chat still shows."""
        return [text for (chat, _), text in self._theirs.items() if chat == chat_id]

    def query(self, sent: Sent) -> tuple[str, dict[str, Any]]:
        """A new callback query on a message: its id, and the message as it stands."""
        query_id = str(next(self._query_ids))
        self._open_queries.add(query_id)
        return query_id, as_message(sent, self._chats[sent.chat_id], ME)

    def set_webhook(self, address: str) -> None:
        """Done by somebody with the same token: polling ends until the bot deletes it."""
        self._webhook = address
        self.updates.terminate("Conflict: terminated by setWebhook request")

    async def get_updates(self, params: Params) -> list[dict[str, Any]]:
        if self._webhook:
            raise Refusal(WEBHOOK, 409)
        if "allowed_updates" in params:
            self.updates.allowed = frozenset(json.loads(params["allowed_updates"]))
        offset, limit, wait = (int(params.get(n, d)) for n, d in (("offset", 0), ("limit", 100), ("timeout", 0)))
        try:
            return await self.updates.get(offset, limit, wait)
        except Terminated as other:
            raise Refusal(str(other), 409) from None

    def get_me(self, _: Params) -> dict[str, Any]:
        return ME

    def delete_webhook(self, params: Params) -> bool:
        self._webhook = ""
        if params.get("drop_pending_updates") == "true":
            self.updates.forget()
        return True

    def set_my_commands(self, params: Params) -> bool:
        found = json.loads(params.get("commands", "[]"))
        if len(found) > 100:
            raise Refusal("BOT_COMMANDS_TOO_MUCH")
        if not all(re.fullmatch(r"[a-z0-9_]{1,32}", each["command"]) for each in found):
            raise Refusal("BOT_COMMAND_INVALID")
        if not all(1 <= len(each["description"]) <= 256 for each in found):
            raise Refusal("BOT_COMMAND_DESCRIPTION_INVALID")
        self.menus[self._scope(params)] = found
        return True

    def delete_my_commands(self, params: Params) -> bool:
        self.menus.pop(self._scope(params), None)
        return True

    def _scope(self, params: Params) -> Scope:
        """() for everybody."""
        raw = json.loads(params.get("scope", "{}"))
        if raw.get("type", "default") == "default":
            return ()
        if "chat_id" in raw and raw["chat_id"] not in self._chats:
            raise Refusal("chat not found")
        if raw["type"] == "chat_member" and raw["chat_id"] > 0:
            raise Refusal("can't change commands of a member of a private chat")
        return tuple(sorted(raw.items()))

    def menu(self, user_id: int, chat_id: int) -> list[dict[str, str]]:
        """The nearest scope wins, as documented under BotCommandScope."""
        chat = {"type": "chat", "chat_id": chat_id}
        member = {"type": "chat_member", "chat_id": chat_id, "user_id": user_id}
        kind = {"type": "all_private_chats" if chat_id > 0 else "all_group_chats"}
        scopes = [tuple(sorted(scope.items())) for scope in (member, chat, kind)]
        return next((self.menus[scope] for scope in scopes if scope in self.menus), self.menus.get((), []))

    def get_chat(self, params: Params) -> dict[str, Any]:
        chat = self._known(params)
        gifts = dict.fromkeys(
            ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
        )
        full = {**chat, "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": gifts}
        if pinned := self.pinned.get(chat["id"]):
            found = next(sent for sent in self.sent if (sent.chat_id, sent.message_id) == (chat["id"], pinned[-1]))
            full["pinned_message"] = self.shown(found)
        return full

    def pin_chat_message(self, params: Params) -> bool:
        chat = self._known(params)
        sent = self._own(params, chat["id"], "pin")
        pinned = self.pinned.setdefault(chat["id"], [])
        if sent.message_id in pinned:
            pinned.remove(sent.message_id)
        pinned.append(sent.message_id)
        return True

    def forget(self, chat_id: int, message_id: int) -> None:
        """A person deleted it."""
        self._gone.add((chat_id, message_id))
        self.pinned[chat_id] = [each for each in self.pinned.get(chat_id, []) if each != message_id]

    def shown(self, sent: Sent) -> dict[str, Any]:
        """As updates carry it."""
        return as_message(sent, self._chats[sent.chat_id], ME)

    def send_message(self, params: Params) -> dict[str, Any]:
        text, html, entities = content(params)
        keys = markup(params)
        rows = inline_rows(keys)
        chat = self._known(params)
        reply_to = self._replied(params, chat["id"])
        first = Version(text, html, entities, rows, time.time())
        return self._keep(params, first, chat, {} if rows else keys, reply_to)

    def send_photo(self, params: Params, files: Files) -> dict[str, Any]:
        text, html, entities = caption(params)
        keys = markup(params)
        rows = inline_rows(keys)
        chat = self._known(params)
        reply_to = self._replied(params, chat["id"])
        shown = _photo(params.get("photo", ""), files)
        first = Version(text, html, entities, rows, time.time(), shown)
        return self._keep(params, first, chat, {} if rows else keys, reply_to)

    def _keep(
        self, params: Params, first: Version, chat: dict[str, Any], keyboard: dict[str, Any], reply_to: int | None
    ) -> dict[str, Any]:
        silent = params.get("disable_notification") == "true"
        sent = Sent(next(self._message_ids), chat["id"], silent, [first], reply_to, keyboard)
        self.sent.append(sent)
        return as_message(sent, chat, ME)

    def edit_message_text(self, params: Params) -> dict[str, Any]:
        text, html, entities = content(params)

        def change(old: Version) -> Version:
            if old.photo is not None:
                raise Refusal("there is no text in the message to edit")
            return replace(old, text=text, html=html, entities=entities)

        return self._edit(params, change)

    def edit_message_media(self, params: Params, files: Files) -> dict[str, Any]:
        media = json.loads(params["media"])
        if media.get("type") != "photo":
            raise Refusal("this venue knows photos only")
        text, html, entities = caption({key: value for key, value in media.items() if isinstance(value, str)})
        shown = _photo(media.get("media", ""), files)
        return self._edit(params, lambda old: replace(old, text=text, html=html, entities=entities, photo=shown))

    def edit_message_reply_markup(self, params: Params) -> dict[str, Any]:
        return self._edit(params, lambda old: old)

    def _edit(self, params: Params, change: Callable[[Version], Version]) -> dict[str, Any]:
        rows = inline_rows(markup(params))
        chat = self._known(params)
        sent = self._own(params, chat["id"])
        new = replace(change(sent.now), rows=rows, at=time.time())
        if (new.text, new.entities, new.rows, new.photo) == (sent.text, sent.entities, sent.now.rows, sent.photo):
            raise Refusal(UNCHANGED)
        sent.versions.append(new)
        return as_message(sent, chat, ME)

    def delete_message(self, params: Params) -> bool:
        """One of its own; a person's in a private chat: elsewhere the bot has no right to."""
        chat = self._known(params)
        key = (chat["id"], int(params["message_id"]))
        if any((sent.chat_id, sent.message_id) == key for sent in self.sent) and key not in self._gone:
            self.forget(*key)
            return True
        if key not in self._theirs:
            raise Refusal("message to delete not found")
        if chat["type"] != "private":
            raise Refusal("message can't be deleted")
        self.deleted.append((chat["id"], self._theirs.pop(key)))
        return True

    def answer_callback_query(self, params: Params) -> bool:
        query_id = params.get("callback_query_id", "")
        if query_id not in self._open_queries:
            raise Refusal(STALE_QUERY)
        if len(params.get("text", "")) > 200:
            raise Refusal("MESSAGE_TOO_LONG")
        self._open_queries.remove(query_id)
        self.answers[query_id] = CallbackAnswer(params.get("text", ""), params.get("show_alert") == "true")
        return True

    def _known(self, params: Params) -> dict[str, Any]:
        asked = params.get("chat_id", "")
        if not asked:
            raise Refusal("chat_id is empty")
        chat = self._chats.get(int(asked)) if re.fullmatch(r"-?\d+", asked) else None
        if chat is None:
            raise Refusal("chat not found")
        return chat

    def _own(self, params: Params, chat_id: int, verb: str = "edit") -> Sent:
        asked = params.get("message_id", "")
        if not asked:
            raise Refusal("message identifier is not specified")
        found = next((s for s in self.sent if s.chat_id == chat_id and str(s.message_id) == asked), None)
        if found is None or (chat_id, found.message_id) in self._gone:
            theirs = (chat_id, int(asked)) in self._theirs
            raise Refusal("message can't be edited" if theirs else f"message to {verb} not found")
        return found

    def _replied(self, params: Params, chat_id: int) -> int | None:
        asked = json.loads(params.get("reply_parameters", "{}"))
        message_id: int | None = asked.get("message_id")
        there = set(self._theirs) | {(sent.chat_id, sent.message_id) for sent in self.sent}
        if message_id is None or (chat_id, message_id) in there:
            return message_id
        if asked.get("allow_sending_without_reply"):
            return None
        raise Refusal("message to be replied not found")


def _photo(asked: str, files: Files) -> Photo:
    if not asked.startswith("attach://") or asked.removeprefix("attach://") not in files:
        raise Refusal("there is no photo in the request")
    try:
        return photo(*files[asked.removeprefix("attach://")])
    except NoPhotoError as error:
        raise Refusal(str(error)) from None


#: These take files too.
FILE_METHODS = frozenset({"sendphoto", "editmessagemedia"})
METHODS: dict[str, Callable[..., Any]] = {
    "answercallbackquery": Chats.answer_callback_query,
    "deletemessage": Chats.delete_message,
    "deletemycommands": Chats.delete_my_commands,
    "deletewebhook": Chats.delete_webhook,
    "editmessagemedia": Chats.edit_message_media,
    "editmessagereplymarkup": Chats.edit_message_reply_markup,
    "editmessagetext": Chats.edit_message_text,
    "getchat": Chats.get_chat,
    "getme": Chats.get_me,
    "getupdates": Chats.get_updates,
    "pinchatmessage": Chats.pin_chat_message,
    "sendmessage": Chats.send_message,
    "sendphoto": Chats.send_photo,
    "setmycommands": Chats.set_my_commands,
}
