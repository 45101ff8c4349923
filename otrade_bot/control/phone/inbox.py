"""What an update says, and who says it, before anybody has judged it."""

from __future__ import annotations

import re

from telegram import CallbackQuery, Message, Update
from telegram.constants import ChatType

from otrade_bot.control.phone.gate import Knock
from otrade_bot.control.phone.replyact import answers_us
from otrade_bot.core.onetime import invitation
from otrade_bot.core.redirects import came_home, concealed

__all__ = ["addressed", "carried", "knock_of", "line_of", "secondhand", "thread_of"]

_TO_A_BOT = re.compile(r"/[/\s]*\w*@(\w+)")


def knock_of(update: Update, username: str) -> Knock | None:
    """Who is at the door; None for a kind of update that is nobody's command (edited messages, channel posts).

    A message in the name of a chat (channels, anonymous admins) has no person, whoever Telegram fills in for one.
    """
    if (query := update.callback_query) is not None:
        chat = query.message.chat if query.message is not None else None
        person = query.from_user
        topic = thread_of(query.message)
        return Knock(person.id, chat.id if chat else None, _name(person), query.data or "", "button", topic=topic)
    if (message := update.message) is None:
        return None
    sender = message.from_user if message.sender_chat is None else None
    name = _name(sender) if sender is not None else getattr(message.sender_chat, "title", None) or ""
    line, aside = line_of(message), not addressed(message, username)
    direct = message.chat.type == ChatType.PRIVATE and not secondhand(message)
    return Knock(
        sender.id if sender else None, message.chat_id, name, concealed(line), aside=aside, topic=thread_of(message),
        code=invitation(line) if direct else "",
    )  # fmt: skip


def _name(person: object) -> str:
    full, handle = getattr(person, "full_name", ""), getattr(person, "username", None)
    return f"{full} @{handle}" if handle else str(full)


def line_of(message: Message) -> str:
    """The words of a message, also those under a picture; empty where it has none."""
    return message.text or message.caption or ""


def addressed(message: Message, username: str) -> bool:
    """Whether it is meant for us: everything in a private chat; in a group commands, unless they name another bot,
    answers to our messages that act, and the address of a login, which must not stay there."""
    if message.chat.type == ChatType.PRIVATE:
        return bool(line_of(message)) or message.effective_attachment is not None
    line = line_of(message).lstrip()
    if not line.startswith("/"):
        return came_home(line) or answers_us(message, username)
    named = _TO_A_BOT.match(line)
    return named is None or named[1].casefold() == username.casefold()


def secondhand(message: Message) -> bool:
    """Words of another mouth: forwarded, or written by an inline bot, or by one that answers in a person's name."""
    others = message.forward_origin, message.via_bot, message.sender_business_bot
    return any(one is not None for one in others)


def carried(query: CallbackQuery) -> bool:
    """Whether its message has this very button: what a client makes up is on none."""
    markup = getattr(query.message, "reply_markup", None)
    return markup is not None and any(one.callback_data == query.data for row in markup.inline_keyboard for one in row)


def thread_of(message: object) -> int | None:
    """The topic of a group that a message stands in; replies elsewhere have a thread too, but no topic."""
    if not getattr(message, "is_topic_message", None):
        return None
    thread: int | None = getattr(message, "message_thread_id", None)
    return thread
