"""``telegram setup``: from BotFather's token to a bot that knows its owner and has written to him.

Owner becomes exactly who opens a link that only this terminal shows: its code lives in this process alone, counts in a
private chat, once. Everybody else hears nothing. It may be interrupted at any moment: until telegram.json is written,
as a whole, nothing has changed, and another run begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telegram import Message
from telegram.constants import ParseMode
from telegram.error import TelegramError
from telegram.request import HTTPXRequest

from otrade_bot.config import ConfigManager, config_dir, environment, state_dir
from otrade_bot.config.models import User
from otrade_bot.config.secrets import Secrets, load_secrets
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.phone.gate import Gate
from otrade_bot.control.phone.inbox import knock_of
from otrade_bot.control.phone.menus import Menus
from otrade_bot.control.phone.poller import KINDS, Line, fault_of
from otrade_bot.control.reply import bold, code, lines, text
from otrade_bot.control.users import named
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.masking import mask_text
from otrade_bot.service.folder import only_one
from otrade_bot.service.people import FILE, KEY, active
from otrade_bot.service.terminal_words import hint, qr

__all__ = ["run_setup"]

#: How long the link counts, s, and how long one question to Telegram waits.
CLAIM_S, POLL_S = 600.0, 20
#: Pause after a network that failed, s.
AGAIN_S = 2.0


def run_setup(args: argparse.Namespace) -> int:
    """0 where the owner has his test message. Raises ConfigException, CommandException."""
    found = load_secrets()
    if found.telegram_token is None:
        raise ConfigException(
            "is not set: write to @BotFather, send /newbot, and put its token into .env", file="environment",
            key="OTRADE_TELEGRAM_TOKEN", allowed="123456:ABC-def",
        )  # fmt: skip
    manager = ConfigManager(config_dir(), environment())
    manager.load(create=True)
    try:
        with only_one(state_dir()):
            return asyncio.run(_set_up(found, manager, again=args.again))
    except ConfigException as error:
        if error.key != "OTRADE_STATE_DIR":
            raise
        cure = "stop the service for the set-up, or let people in by phone: /users invite ROLE NAME"
        raise ConfigException(f"{error}: {cure}") from None


@dataclass(frozen=True, slots=True)
class _Claim:
    user_id: int
    name: str
    offset: int


async def _set_up(found: Secrets, manager: ConfigManager, *, again: bool) -> int:
    assert found.telegram_token is not None
    requests = [HTTPXRequest(4, read_timeout=10, connect_timeout=10) for _ in range(2)]
    bot = Line(
        found.telegram_token.get_secret_value().strip(),
        found.telegram_base_url or "https://api.telegram.org/bot",
        found.telegram_base_file_url or "https://api.telegram.org/file/bot",
        request=requests[0], get_updates_request=requests[1],
    )  # fmt: skip
    try:
        return await _steps(bot, manager, again=again)
    finally:
        for request in requests:
            await request.shutdown()


async def _steps(bot: Line, manager: ConfigManager, *, again: bool) -> int:
    username = await _checked(bot)
    print(f"1. The token is right: it is the bot @{username}.", flush=True)
    owners = _admins(manager.current.telegram.users)
    if owners and not again:
        print(f"2. {FILE} names its admin already: {', '.join(one.name or str(one.user_id) for one in owners)}.")
        hint("another one is let in by phone (/users invite admin NAME), or here with --again")
    else:
        claim = await _claimed(bot, username)
        path, owner = _written(manager, claim)
        print(f"2. {owner.name} (user {owner.user_id}) is admin now: written to {path}.", flush=True)
        await _confirmed(bot, claim.offset)
        owners = (owner,)
    users = manager.current.telegram.users
    print(f"3. {await _menus(bot, users)}", flush=True)
    told = [await _told(bot, one) for one in owners]
    print(f"4. {' '.join(told)}", flush=True)
    hint("next: otrade-bot telegram totp (codes for live mode, limits and people), then otrade-bot run")
    return 0 if all(one.startswith("A test") for one in told) else 1


def _admins(users: Sequence[User]) -> tuple[User, ...]:
    return tuple(user for user in active(users) if user.role == "admin" and user.chat_id > 0)


async def _checked(bot: Line) -> str:
    """The bot's name. Raises CommandException, ConfigException where Telegram does not take the token."""
    try:
        return (await bot.get_me()).username or ""
    except TelegramError as error:
        fault = fault_of(error)
        said = f"Telegram says: {mask_text(str(error))}. {fault.cure}"
        if fault.word == "refused":
            raise ConfigException(said, file="environment", key="OTRADE_TELEGRAM_TOKEN") from None
        raise CommandException(f"{said} Nothing was changed; run it again.") from None


async def _claimed(bot: Line, username: str) -> _Claim:
    word = secrets.token_urlsafe(18)
    link = f"https://t.me/{username}?start={word}"
    print(f"Open this link on your phone, or scan it, and press START. It makes you the admin of @{username}:\n")
    print(link)
    print(qr(link), flush=True)
    hint(f"waiting for you, {CLAIM_S / 60:.0f} min at most; Ctrl-C ends it, and nothing has changed")
    until, offset, said = time.monotonic() + CLAIM_S, None, ""
    while (left := until - time.monotonic()) > 0:
        try:
            updates = await bot.readable(
                offset=offset, timeout=int(min(POLL_S, left)), allowed_updates=list(KINDS), read_timeout=POLL_S + 10
            )
        except TelegramError as error:
            said = _hindered(error, said)
            await asyncio.sleep(AGAIN_S)
            continue
        for number, update in updates:
            offset = number + 1
            message = update.message if update is not None else None
            if message is not None and (claim := _claim(message, update, username, word, offset)):
                return claim
    raise CommandException("Nobody opened the link in time: nothing was changed. Run it again for a new one.")


def _hindered(error: TelegramError, said: str) -> str:
    """Told once. Raises CommandException where waiting helps nothing."""
    fault = fault_of(error)
    told = f"Telegram says: {mask_text(str(error))}. {fault.cure}"
    if fault.word in ("conflict", "refused"):
        raise CommandException(told)
    if told != said:
        hint(told)
    return told


def _claim(message: Message, update: Any, username: str, word: str, offset: int) -> _Claim | None:
    """None for everybody but a person who brings this code to the private chat himself."""
    knock = knock_of(update, username)
    person = message.from_user
    if knock is None or person is None or person.is_bot or not knock.code or knock.user_id != knock.chat_id:
        return None
    if not hmac.compare_digest(knock.code, word):
        return None
    return _Claim(person.id, person.first_name, offset)


def _written(manager: ConfigManager, claim: _Claim) -> tuple[str, User]:
    """Every other user stays as he is. Raises ConfigException."""
    known = manager.load(create=False).telegram.users
    rows = list(manager.written(FILE, KEY) or [])
    at = next((n for n, user in enumerate(known) if (user.user_id, user.chat_id) == (claim.user_id,) * 2), None)
    if at is None:
        taken = {user.name.casefold() for user in known}
        row = {"user_id": claim.user_id, "chat_id": claim.user_id, "role": "admin", "name": _name(claim.name, taken)}
        rows.append(row)
    else:
        rows[at] = {key: value for key, value in rows[at].items() if key != "blocked"} | {"role": "admin"}
    path = manager.put(FILE, KEY, rows)
    return path, manager.current.telegram.users[-1 if at is None else at]


def _name(first: str, taken: set[str]) -> str:
    """As Telegram calls him, where that may stand in records."""
    try:
        name = named(first)
    except CommandException:
        name = "owner"
    number, made = 2, name
    while made.casefold() in taken:
        made, number = f"{name} {number}", number + 1
    return made


async def _confirmed(bot: Line, offset: int) -> None:
    """What was read here does not come to the service again; where that fails it does no harm there."""
    try:
        await bot.readable(offset=offset, timeout=0, limit=1, read_timeout=10)
    except TelegramError:
        return


async def _menus(bot: Line, users: Sequence[User]) -> str:
    """Each person's commands, as a phone offers them."""
    troubles: list[str] = []
    gate = Gate(users, tell=lambda reply, chats: None)
    menus = Menus(
        bot, lambda: gate.callers, lambda caller: [(one.name, one.help) for one in COMMANDS.allowed(caller.role)],
        troubles.append,
    )  # fmt: skip
    await menus.show()
    return "The commands are in the bot's menu." if not troubles else f"The menu was not taken: {troubles[0]}"


async def _told(bot: Line, user: User) -> str:
    said = lines(
        bold("OTrade Bot is set up"),
        text("You are ", user.role, ", called ", bold(user.name or str(user.user_id)), "."),
        "Alerts come into this chat. Commands are answered once the service runs: otrade-bot run",
        text(code("/help"), " lists them."),
    )
    try:
        await bot.send_message(user.chat_id, said.to_html(), parse_mode=ParseMode.HTML)
    except TelegramError as error:
        return f"No test message reached {user.name}: {mask_text(str(error))}. Press START in the bot's chat."
    return f"A test message is in the chat of {user.name or user.user_id}."
