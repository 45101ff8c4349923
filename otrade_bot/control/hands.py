"""/force and /claim: what only a human may decide about one symbol. Asked back with what it may cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.control.symbols import resolved
from otrade_bot.control.views_checks import within
from otrade_bot.control.words import symbol_text, without_exchange
from otrade_bot.core.errors import BrokerException, CommandException
from otrade_bot.core.lang import phrase, t
from otrade_bot.trading.snapshot import TradingView, Wish

__all__ = ["HANDS", "Hand"]


class Hand(Arguments):
    """An instrument, then the answer to the question; ``nonce`` comes from a button."""

    symbol: str = Field(min_length=1, max_length=40)
    word: Literal["yes", "no", ""] = ""
    nonce: str = Field("", max_length=16)

    @field_validator("word", mode="before")
    @classmethod
    def _any_case(cls, word: object) -> object:
        """Phones begin words with a capital."""
        return word.lower() if isinstance(word, str) else word


@dataclass(frozen=True, slots=True)
class _Deed:
    """One of the two commands."""

    name: str
    question: str
    button: str
    wish: Callable[[TradingView, str], Wish]
    do: Callable[[TradingView, str, str], Awaitable[str]]

    async def run(self, context: Context, arguments: Arguments) -> Reply:
        assert isinstance(arguments, Hand)
        view = context.view
        known = {one.symbol for one in view.rows()} | {one.symbol for one in view.positions()}
        symbol = resolved(arguments.symbol, sorted(known))
        action = f"{self.name} {symbol}"
        if arguments.word == "no":
            dropped = context.confirmations.drop(context.session, action)
            return text(t("Nothing was done.") if dropped else t("Nothing was asked, nothing was done."))
        wish = self.wish(view, symbol)
        if not arguments.word:
            return self._ask(context, wish)
        verdict = context.confirmations.answer(
            context.session, action, lambda shown: shown == wish.shown, arguments.nonce
        )
        if verdict is Verdict.CONFIRMED:
            return await self._done(context, symbol)
        if verdict is Verdict.CHANGED:
            return self._ask(context, wish, changed=True)
        if verdict is Verdict.UNSEEN:
            said = t("that yes came before the question had reached you. Answer it now.")
            return text(bold(t("Nothing was done:")), f" {said}")
        if verdict is Verdict.EXPIRED:
            seconds = f"{context.confirmations.seconds:.0f}"
            return bold(t("Too late: a yes counts for {seconds} s. Nothing was done.", seconds=seconds))
        asks = code(f"/{self.name} {symbol_text(symbol)}")
        return filled(
            t("{nothing} no question of yours is open. {command} asks."),
            nothing=bold(t("Nothing was done:")), command=asks,
        )  # fmt: skip

    async def _done(self, context: Context, symbol: str) -> Reply:
        try:
            return text(without_exchange(await self.do(context.view, symbol, context.user)))
        except BrokerException as error:
            raise CommandException(t("Nothing was done: the broker cannot be asked ({error}).", error=error)) from error

    def _ask(self, context: Context, wish: Wish, *, changed: bool = False) -> Reply:
        nonce = context.confirmations.ask(context.session, f"{self.name} {wish.symbol}", wish.shown)
        short = wish.symbol
        question = lines(
            bold(t("It has changed. Look again.")) if changed else "",
            bold(t(self.question, symbol=symbol_text(short))),
            without_exchange(wish.text),
            within(f"{context.confirmations.seconds:.0f}", f"/{self.name} {short}"),
        )
        yes = Action(t(self.button), f"/{self.name} {short} yes {nonce}")
        return Reply(question.runs, (yes, Action(t("Leave it"), f"/{self.name} {short} no {nonce}")))


async def _force(view: TradingView, symbol: str, by: str) -> str:
    return view.force(symbol, by)


FORCE = _Deed(
    "force", phrase("Force another exit of {symbol}?"), phrase("Force the exit"),
    lambda view, symbol: view.force_wish(symbol), _force,
)  # fmt: skip
CLAIM = _Deed(
    "claim", phrase("Take {symbol} over?"), phrase("Take it over"), lambda view, symbol: view.claim_wish(symbol),
    lambda view, symbol, by: view.claim(symbol, by),
)  # fmt: skip
HANDS = (
    Command("force", Role.OPERATOR, "an exit beside one in doubt, after a question", FORCE.run, Hand, "SYMBOL"),
    Command("claim", Role.OPERATOR, "take a foreign position over, after a question", CLAIM.run, Hand, "SYMBOL"),
)
