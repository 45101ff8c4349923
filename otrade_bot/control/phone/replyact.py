"""Answering a message of ours with a few words: "sl 245", "target 260", "half", "exit", "why".

The symbol is the one that stands as code in that message, the rung the one that it names. Only the line is made here:
the command behind it checks everything. What is not clear is asked by buttons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from telegram import Message, MessageEntity

from otrade_bot.control.reply import Action, Reply, bold, code, text
from otrade_bot.control.words import symbol_text
from otrade_bot.core.lang import t

__all__ = ["Wanted", "answers_us", "deed", "wanted"]

_PRICE = r"(?:₹\s*)?(?P<value>\d[\d,]*(?:\.\d+)?|auto|off)"
_RUNG = r"(?:(?P<rung>p[1-3])\s+)?"
_DEEDS = (
    ("sl", re.compile(rf"/?(?:sl|stop)\s+{_RUNG}{_PRICE}", re.I)),
    ("target", re.compile(rf"/?(?:target|tgt)\s+{_RUNG}{_PRICE}", re.I)),
    ("close", re.compile(r"/?(?:exit|close)(?:\s+(?P<rung>p[1-3]))?(?:\s+(?P<value>half|\d+))?", re.I)),
    ("close", re.compile(rf"/?{_RUNG}(?P<value>half)", re.I)),
    ("sl", re.compile(r"/?(?:sl|stop)(?:\s+(?P<rung>p[1-3]))?", re.I)),
    ("target", re.compile(r"/?(?:target|tgt)(?:\s+(?P<rung>p[1-3]))?", re.I)),
    ("why", re.compile(r"/?why\??", re.I)),
    ("chart", re.compile(r"/?chart(?:\s+(?P<value>1m|5m|15m))?", re.I)),
)
#: These are of a symbol as a whole.
_READS = frozenset({"why", "chart"})
_RUNG_NAMED = re.compile(r"\bP([1-3])\b")
#: Buttons of one question.
MOST = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the words say, before it is known of what."""

    name: str
    value: str
    rung: str

    def line(self, symbol: str, rung: str = "") -> str:
        place = "" if self.name in _READS else self.rung or rung
        return " ".join(piece for piece in (f"/{self.name}", symbol, place, self.value) if piece)


def wanted(line: str) -> Wanted | None:
    """None where the words are none of these."""
    for name, form in _DEEDS:
        if (found := form.fullmatch(line.strip())) is not None:
            said = found.groupdict()
            value, rung = (said.get("value") or "").lower().replace(",", ""), (said.get("rung") or "").upper()
            return Wanted(name, value, rung)
    return None


def answers_us(message: Message, username: str) -> bool:
    """Whether it answers a message of this bot, with words of this kind."""
    answered = message.reply_to_message
    writer = answered.from_user if answered is not None else None
    if writer is None or not writer.is_bot or not username or (writer.username or "").lower() != username.lower():
        return False
    return wanted(message.text or "") is not None


def deed(message: Message, known: Sequence[str]) -> str | Reply:
    """The command's line; or a question, where it is not clear of what. ``known``: full symbols. For a message of which
    ``answers_us`` holds."""
    asked, answered = wanted(message.text or ""), message.reply_to_message
    assert asked is not None
    assert answered is not None
    symbols = _symbols(answered, known)
    if not symbols:
        usage = " ".join(piece for piece in (f"/{asked.name} SYMBOL", asked.rung, asked.value) if piece)
        why = t("That message names no symbol that is known here. Nothing was done. Say:")
        return text(why, " ", code(usage))
    rungs = sorted(set(_RUNG_NAMED.findall(answered.text or answered.caption or "")))
    if len(symbols) > 1:
        actions = [Action(symbol_text(one), asked.line(one)) for one in symbols[:MOST]]
        return Reply(bold(t("Which one? That message names several symbols.")).runs, tuple(actions))
    if asked.rung or len(rungs) < 2 or asked.name in _READS:
        return asked.line(symbols[0], f"P{rungs[0]}" if rungs else "")
    actions = [Action(f"P{one}", asked.line(symbols[0], f"P{one}")) for one in rungs]
    actions.append(Action(t("All of it"), asked.line(symbols[0])))
    head = t("Which one? That message names several rungs of {symbol}.", symbol=symbol_text(symbols[0]))
    return Reply(bold(head).runs, tuple(actions))


def _symbols(answered: Message, known: Sequence[str]) -> list[str]:
    """Known symbols that stand as code in it, each once, in their order."""
    entities = answered.parse_entities([MessageEntity.CODE]) or answered.parse_caption_entities([MessageEntity.CODE])
    places = sorted(entities.items(), key=lambda one: one[0].offset)
    full = {one.upper(): one for one in known}
    short: dict[str, list[str]] = {}
    for one in known:
        short.setdefault(symbol_text(one).upper(), []).append(one)
    found: list[str] = []
    for _, said in places:
        name = said.strip().upper()
        found += [full[name]] if name in full else short.get(name, [])
    return list(dict.fromkeys(found))
