"""For the tests of the Bot API on 127.0.0.1: the real client, and short words for what it takes and gives."""

from __future__ import annotations

import asyncio

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, Update
from venues.telegram import BotApi


def client(api: BotApi, token: str | None = None) -> Bot:
    """The real one, not initialized."""
    return Bot(token or api.token, base_url=api.base_url, base_file_url=api.base_file_url)


def keys(*labels: str) -> InlineKeyboardMarkup:
    """A row of buttons; the data is the label behind a slash."""
    return InlineKeyboardMarkup([[InlineKeyboardButton(label, callback_data=f"/{label}") for label in labels]])


def texts(updates: tuple[Update, ...]) -> list[str]:
    return [update.message.text or "" for update in updates if update.message]


async def dial(api: BotApi) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection("127.0.0.1", int(api.base_url.split(":")[2].split("/")[0]))
