"""From paper to live, from one broker to another, and back: only when nothing is left behind.

A day's journal belongs to one account. So does a position: whoever changes the account while something is open
at the old one would leave it without anybody who watches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from otrade_bot.brokers.paper.book import Book
from otrade_bot.core.errors import ConfigException
from otrade_bot.service.health import FILE as HEARTBEAT
from otrade_bot.service.journal import day_path, days, read_day
from otrade_bot.service.statefile import write_state

__all__ = ["another_user", "check_switch", "own", "set_aside"]

#: Whose account was traded last, by broker.
USERS = "accounts.json"


def check_switch(state_dir: Path, account: str) -> None:
    """Raises ConfigException where the account that was traded last, another one than ``account``, holds something of
    ours or has orders that nobody has accounted for; JournalException where its book cannot be read."""
    last = _last_account(state_dir)
    if not last or last == account:
        return
    left = _paper_left(state_dir) if last == "paper" else _live_left(state_dir)
    if left:
        raise ConfigException(
            f"the {last} account is not flat: {', '.join(left)}; start once more as before, /flatten, then change",
            file="trading.json", key="mode", value="paper" if account == "paper" else f"live ({account})",
            allowed=f"{'paper' if last == 'paper' else f'live ({last})'} until that is closed",
        )  # fmt: skip


def set_aside(state_dir: Path, day: date, account: str) -> str:
    """Today's journal, where it is of another account, gets its name; what to tell, '' where there is none."""
    before = _account_of(read_day(state_dir, day))
    if not before or before == account:
        return ""
    path = day_path(state_dir, day)
    kept = path.with_name(f"{day.isoformat()}.{before}.jsonl")
    with kept.open("ab") as file:
        file.write(path.read_bytes())
    path.unlink()
    return f"today's journal was the {before} account's; it is kept as {kept.name}, and a new one begins"


def another_user(state_dir: Path, broker: str, user: str) -> str:
    """Where the account at that broker is another person's than before, all diaries get that one's name: what they keep
    must not be found among the shares of the new one. What to tell, '' where nothing was done. Raises OSError."""
    known = _users(state_dir)
    before = known.get(broker, "")
    if not user or user == before:
        return ""
    said = _exchanged(state_dir, broker, before, user) if before and days(state_dir) else ""
    write_state(state_dir / USERS, {**known, broker: user}, durable=True)
    return said


def _exchanged(state_dir: Path, broker: str, before: str, user: str) -> str:
    """The new account's own diaries come back, where it has been here before."""
    journal, own_ones = state_dir / "journal", state_dir / f"journal.{broker}-{user}"
    kept = _unused(state_dir / f"journal.{broker}-{before}")
    journal.rename(kept)
    again = own_ones.exists()
    if again:
        own_ones.rename(journal)
    else:
        journal.mkdir(mode=0o700)
    return (
        f"the account at {broker} is {user}, before it was {before}: its diaries are kept as {kept.name}, "
        f"{'its own of before go on' if again else 'new ones begin'}, and nobody watches what {before} holds"
    )


def _users(state_dir: Path) -> dict[str, str]:
    try:
        found = json.loads((state_dir / USERS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(broker): str(user) for broker, user in found.items()} if isinstance(found, dict) else {}


def _unused(folder: Path) -> Path:
    """That name, or with a number."""
    found, number = folder, 1
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def own(lines: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    """A day's lines where they are the account's, else none."""
    return lines if _account_of(lines) in ("", account) else []


def _last_account(state_dir: Path) -> str:
    for day in sorted(days(state_dir), reverse=True):
        if found := _account_of(read_day(state_dir, day)):
            return found
    return ""


def _account_of(lines: Iterable[Mapping[str, Any]]) -> str:
    """Of a day's newest start; rehearsals have folders of their own."""
    named = [str(line.get("broker", "")) for line in lines if line.get("kind") == "run"]
    return named[-1] if named else ""


def _paper_left(state_dir: Path) -> list[str]:
    book = Book.read(state_dir / "paper.jsonl")
    held = [f"{symbol} {lot.quantity:+d}" for (symbol, _), lot in book.positions.items() if lot.quantity]
    held += [f"{symbol} {lot.quantity:+d}" for symbol, lot in book.holdings.items() if lot.quantity]
    return held + [f"an order of {order.symbol} works" for order in book.working.values()]


def _live_left(state_dir: Path) -> list[str]:
    """By the last heartbeat: the broker itself can only be asked with a session there."""
    try:
        heart = json.loads((state_dir / HEARTBEAT).read_bytes())
    except (OSError, ValueError):
        heart = None
    if not isinstance(heart, dict):
        return ["no heartbeat tells what it held"]
    if heart.get("running") is not False:  # its last seconds are in no heartbeat
        return ["it was killed, so nobody knows what it held"]
    if heart.get("unread"):
        return [f"its books were not read when it ended ({heart['unread']})"]
    held = heart.get("positions") or []
    left = [f"{one.get('symbol')} {one.get('quantity')}" for one in held if not one.get("external")]
    return left + [f"nobody knows what became of order {tag}" for tag in heart.get("unknown") or []]
