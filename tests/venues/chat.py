"""A phone in the terminal, to try the bot by hand: what it writes is shown, what is typed it hears."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from .messages import Version

if TYPE_CHECKING:
    from .telegram import BotApi

HELP = """\
7: /status             user 7 writes to the bot
7@-55: /pause          user 7 writes in the group -55
7 presses 12 Yes       user 7 presses a button of message 12, by its label or its data
down, up               Telegram cannot be reached, and can again
Ctrl-D                 the end"""
SAYS = re.compile(r"(\d+)(?:@(-?\d+))?:\s*(.+)")
PRESSES = re.compile(r"(\d+) presses (\d+) (.+)")


def addresses(api: BotApi) -> str:
    """What the bot's environment needs."""
    return "\n".join(
        (
            f"export OTRADE_TELEGRAM_TOKEN={api.token}",
            f"export OTRADE_TELEGRAM_BASE_URL={api.base_url}",
            f"export OTRADE_TELEGRAM_BASE_FILE_URL={api.base_file_url}",
        )
    )


def obey(api: BotApi, line: str) -> str:
    """Do what a typed line says; a line to show, or nothing."""
    line = line.strip()
    if said := SAYS.fullmatch(line):
        user, chat, text = said.groups()
        api.say(int(user), text, int(chat) if chat else None, name=f"user {user}")
        return ""
    if pressed := PRESSES.fullmatch(line):
        user, message, button = pressed.groups()
        try:
            api.press(int(user), int(message), button, name=f"user {user}")
        except LookupError as error:
            return str(error)
        return ""
    if line in ("down", "up"):
        (api.down if line == "down" else api.up)()
        return f"Telegram is {line}"
    return HELP if line else ""


class Screen:
    """What has been shown already."""

    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._versions: dict[int, int] = {}
        self._answers = 0
        self._violations = 0

    def news(self) -> list[str]:
        """What has happened since the last time, line by line."""
        lines = []
        for sent in self._api.sent:
            seen = self._versions.get(sent.message_id, 0)
            for number, version in enumerate(sent.versions[seen:], seen):
                lines.append(_drawn(f"{sent.message_id}{' edited' if number else ''} to {sent.chat_id}", version))
            self._versions[sent.message_id] = len(sent.versions)
        answers = list(self._api.answers.values())
        lines += [f"(toast) {answer.text}" for answer in answers[self._answers :] if answer.text]
        lines += [f"NOT THE BOT API: {each}" for each in self._api.violations[self._violations :]]
        self._answers, self._violations = len(answers), len(self._api.violations)
        return lines


def _drawn(head: str, version: Version) -> str:
    shown = version.photo
    picture = f"(picture {shown.name}, {shown.width} x {shown.height}) " if shown is not None else ""
    body = picture + version.text.replace("\n", "\n    ")
    rows = ["  ".join(f"[{button.label}]" for button in row) for row in version.rows]
    return "\n    ".join([f"{head}: {body}", *rows])


async def _typed() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode()


async def main(api: BotApi) -> None:
    """Until the input ends."""
    async with api:
        print(addresses(api), HELP, sep="\n\n", flush=True)
        showing = asyncio.create_task(_show(api))
        try:
            async for line in _typed():
                if told := obey(api, line):
                    print(told, flush=True)
        finally:
            showing.cancel()


async def _show(api: BotApi) -> None:
    screen = Screen(api)
    while True:
        print(*await api.until(screen.news, timeout=float("inf")), sep="\n", flush=True)
