"""/close, /sl and /target: what a person may do to one position. What raises the risk, and a sale, is asked back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import Field

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.question import Question, settle
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.control.symbols import resolved
from otrade_bot.control.words import short, symbol_text, without_exchange
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.core.money import Paise, rupees_text, to_paise
from otrade_bot.trading.snapshot import Amount, LevelValue, Position

__all__ = ["LEVELS", "AtSymbol"]

Which = Literal["stop", "target"]
_NAMES: dict[Which, str] = {"stop": "sl", "target": "target"}
_RUNG = re.compile(r"p([1-3])")
_WORDS = ("yes", "no")
#: Rupees; above this a slip of the finger is meant.
MOST = Decimal(10_000_000)


class AtSymbol(Arguments):
    """An instrument; then, in this order, a rung, what is wanted of it, and the answer to a question."""

    symbol: str = Field(min_length=1, max_length=60)
    rest: str = Field("", max_length=80)


@dataclass(frozen=True, slots=True)
class _Said:
    """``rung`` 0: none was named; ``what``: the words between it and the answer, in lower case."""

    symbol: str
    rung: int
    what: str
    word: str
    nonce: str

    @property
    def place(self) -> str:
        return f"{self.symbol} P{self.rung}" if self.rung else self.symbol


def _read(context: Context, arguments: Arguments) -> _Said:
    """Raises CommandException where no such symbol is followed, or more is said than can be meant."""
    assert isinstance(arguments, AtSymbol)
    view = context.view
    known = {one.symbol for one in view.rows()} | {one.symbol for one in view.positions()}
    symbol = resolved(arguments.symbol, sorted(known))
    words = arguments.rest.casefold().split()
    rung = _RUNG.fullmatch(words[0]) if words else None
    words = words[1:] if rung else words
    answer = next((place for place, word in enumerate(words) if word in _WORDS), len(words))
    what, word, nonce = words[:answer], words[answer : answer + 1], words[answer + 1 :]
    if len(what) > 1 or len(nonce) > 1:
        raise CommandException(t("Too much was said: {words}.", words=short(arguments.rest, 40)))
    return _Said(symbol, int(rung[1]) if rung else 0, "".join(what), "".join(word), "".join(nonce))


@contextmanager
def _short_names() -> Iterator[None]:
    """What cannot be done is said as everything else is."""
    try:
        yield
    except CommandException as error:
        raise CommandException(without_exchange(str(error))) from error


def _held(context: Context, said: _Said) -> list[Position]:
    """Open rungs of the symbol, those that were meant."""
    found = [one for one in context.view.positions() if one.symbol == said.symbol and not one.external]
    return [one for one in found if said.rung in (0, one.rung)]


def _which_rung(command: str, said: _Said, held: list[Position]) -> Reply:
    """Buttons, as several are open."""
    actions = tuple(
        Action(f"P{one.rung}", f"/{command} {said.symbol} P{one.rung} {said.what}".rstrip()) for one in held
    )
    head = t("{symbol} has several positions. Which one?", symbol=symbol_text(said.symbol))
    return Reply(lines(bold(head), *(_line(one) for one in held)).runs, actions)


def _line(one: Position) -> str:
    target = rupees_text(one.target) if one.target else t("none")
    return t(
        "P{n}: {held} held, price {price}, stop {stop}, target {target}", n=one.rung, held=one.quantity,
        price=rupees_text(one.ltp), stop=rupees_text(one.stop) if one.stop else t("none"), target=target,
    )  # fmt: skip


# --- levels -------------------------------------------------------------------------------------------------------


async def _stop(context: Context, arguments: Arguments) -> Reply:
    with _short_names():
        return _level(context, _read(context, arguments), "stop")


async def _target(context: Context, arguments: Arguments) -> Reply:
    with _short_names():
        return _level(context, _read(context, arguments), "target")


def _level(context: Context, said: _Said, which: Which) -> Reply:
    command, held = _NAMES[which], _held(context, said)
    if held and not said.what:
        return _as_it_is(context, which, said, held)
    if len(held) > 1:
        return _which_rung(command, said, held)
    value = _value(said.what, which)
    wish = context.view.level_wish(said.symbol, said.rung, which, value)
    if wish.asks or said.word == "no":
        head = t("Move the stop of {place}?", place=symbol_text(said.place)) if which == "stop" else \
            t("Take the target of {place} away?", place=symbol_text(said.place))  # fmt: skip
        button = t("Move it") if which == "stop" else t("Take it away")
        line = f"/{command} {said.place} {said.what}"
        asked = Question(line, wish.shown, head, without_exchange(wish.text), button)
        if (answer := settle(context, asked, said.word, said.nonce)) is not None:
            return answer
    return text(without_exchange(context.view.set_level(said.symbol, said.rung, which, value, context.user)))


def _as_it_is(context: Context, which: Which, said: _Said, held: list[Position]) -> Reply:
    command, wanted = _NAMES[which], "PRICE|auto" if which == "stop" else "PRICE|off|auto"
    rung = f" P{held[0].rung}" if len(held) > 1 or said.rung else ""
    usage = code(f"/{command} {symbol_text(said.symbol)}{rung} {wanted}")
    example = f"{command} 245" if len(held) == 1 else f"{command} p{held[0].rung} 245"
    by_answer = filled(t("Or answer this message: {words}"), words=code(example))
    return lines(
        bold(symbol_text(said.symbol)) if context.session == "terminal" else code(symbol_text(said.symbol)),
        *(_line(one) for one in held),
        text(t("To change it:"), " ", usage),
        "" if context.session == "terminal" else by_answer,
    )


def _value(word: str, which: Which) -> LevelValue:
    if word == "auto":
        return "auto"
    if word == "off" and which == "target":
        return "off"
    if word == "off":
        raise CommandException(t("A position is never left without a stop: /close closes it."))
    return _paise(word)


def _paise(word: str) -> Paise:
    try:
        price = Decimal(word.removeprefix("₹").removeprefix("rs.").replace(",", ""))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 < price <= MOST:
        raise CommandException(t("A price in rupees is wanted, not {word}.", word=repr(short(word, 40))))
    return to_paise(price)


# --- closing ------------------------------------------------------------------------------------------------------


async def _close(context: Context, arguments: Arguments) -> Reply:
    with _short_names():
        return _close_now(context, _read(context, arguments))


def _close_now(context: Context, said: _Said) -> Reply:
    amount, held = _amount(said.what), _held(context, said)
    if isinstance(amount, int) and len(held) > 1:
        return _which_rung("close", said, held)
    wish = context.view.close_wish(said.symbol, said.rung, amount)
    line = f"/close {said.place} {said.what}".rstrip()
    head = t("Close {place}?", place=symbol_text(said.place)) if amount == "all" else \
        t("Close a part of {place}?", place=symbol_text(said.place))  # fmt: skip
    asked = Question(line, wish.shown, head, without_exchange(wish.text), t("Close it"))
    if (answer := settle(context, asked, said.word, said.nonce)) is not None:
        return answer
    return text(without_exchange(context.view.close(said.symbol, said.rung, amount, context.user)))


def _amount(word: str) -> Amount:
    if word in ("", "all"):
        return "all"
    if word == "half":
        return "half"
    if not (word.isascii() and word.isdigit() and 0 < int(word) <= 100_000_000):
        raise CommandException(t("half or a number of shares is wanted, not {word}.", word=repr(short(word, 40))))
    return int(word)


LEVELS = (
    Command(
        "close", Role.OPERATOR, "close a position, half of it or some shares, after a question", _close, AtSymbol,
        "SYMBOL [P1|P2|P3] [half|QUANTITY]",
    ),
    Command(
        "sl", Role.OPERATOR, "put a stop; auto gives it back to the strategy", _stop, AtSymbol,
        "SYMBOL [P1|P2|P3] PRICE|auto",
    ),
    Command(
        "target", Role.OPERATOR, "put a target, take it away, or give it back", _target, AtSymbol,
        "SYMBOL [P1|P2|P3] PRICE|off|auto",
    ),
)  # fmt: skip
