"""/mode: paper or live, from the next start on. Asked back, and only with empty hands."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from pydantic import Field, field_validator

from otrade_bot.control.commands import Arguments, Context
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.control.words import many, short, symbol_text
from otrade_bot.core.errors import CommandException, ConfigException
from otrade_bot.core.lang import t
from otrade_bot.core.model import Block
from otrade_bot.core.ports import ModeDesk
from otrade_bot.trading.snapshot import TradingView

__all__ = ["Mode", "change_mode"]

_ACTION = "mode"


class Mode(Arguments):
    """The mode that is wanted, then the answer to the question; ``nonce`` comes from a button."""

    mode: Literal["live", "paper", ""] = ""
    word: Literal["yes", "no", ""] = ""
    nonce: str = Field("", max_length=16)

    @field_validator("mode", "word", mode="before")
    @classmethod
    def _any_case(cls, word: object) -> object:
        return word.lower() if isinstance(word, str) else word


async def change_mode(context: Context, arguments: Arguments) -> Reply:
    """Nothing in here waits: what was judged still holds when the file is written."""
    assert isinstance(arguments, Mode)
    desk = context.mode
    if desk is None:
        raise CommandException(t("The mode cannot be changed here."))
    try:
        return _answered(context, desk, arguments)
    except ConfigException as error:
        raise CommandException(t("Nothing was changed: {error}", error=error)) from error


def _answered(context: Context, desk: ModeDesk, given: Mode) -> Reply:
    wanted = given.mode
    if given.word == "no":
        context.confirmations.drop(context.session, _ACTION)
        return _standing(context, desk)
    if not wanted or desk.following() == wanted:
        return _standing(context, desk)
    against = [*_in_hand(context.view, wanted), *desk.objections(wanted)]
    if against:
        context.confirmations.drop(context.session, _ACTION)
        head = bold(t("Nothing was changed. {mode} is not possible now:", mode=wanted.upper()))
        return lines(head, *(f"• {one}" for one in against))
    if wanted == "live" and (asked := context.prove("/mode live", t("LIVE at the next start"))):
        return asked
    if not given.word:
        return _ask(context, desk, wanted)
    shown = _shown(context, desk, wanted)
    verdict = context.confirmations.answer(context.session, _ACTION, lambda agreed: agreed == shown, given.nonce)
    if verdict is Verdict.CONFIRMED:
        path = desk.write(wanted, context.user)
        head = bold(t("The next start is {mode}.", mode=wanted.upper()))
        return lines(head, t("Written to {path}.", path=path), _running(context, wanted))
    if verdict is Verdict.CHANGED:
        return _ask(context, desk, wanted, changed=True)
    if verdict is Verdict.UNSEEN:
        said = t("that yes came before the question had reached you. Answer it now.")
        return text(bold(t("Nothing was changed:")), f" {said}")
    if verdict is Verdict.EXPIRED:
        seconds = f"{context.confirmations.seconds:.0f}"
        return bold(t("Too late: a yes counts for {seconds} s. Nothing was changed.", seconds=seconds))
    return filled(
        t("{nothing} no question of yours is open. {command} asks."),
        nothing=bold(t("Nothing was changed:")), command=code(f"/mode {wanted}"),
    )  # fmt: skip


def _standing(context: Context, desk: ModeDesk) -> Reply:
    """The mode now, and at the next start."""
    now, following = context.view.status().mode, desk.following()
    return lines(
        filled(t("Now: {mode}"), mode=bold(now.upper())),
        filled(
            t("At the next start: {mode}") if following != now else t("At the next start: {mode}, the same"),
            mode=bold(following.upper()),
        ),
    )


def _ask(context: Context, desk: ModeDesk, wanted: str, changed: bool = False) -> Reply:
    nonce = context.confirmations.ask(context.session, _ACTION, _shown(context, desk, wanted))
    what = (
        t("Real orders with real money, on the account that brokers.json names.")
        if wanted == "live"
        else t("No real orders any more. What is held at the broker then is watched by nobody.")
    )
    question = lines(
        bold(t("The settings have changed. Look again.")) if changed else "",
        bold(t("{mode} from the next start on?", mode=wanted.upper())),
        what,
        _running(context, wanted),
        filled(
            t("Within {seconds} s: {yes} to do it."),
            seconds=f"{context.confirmations.seconds:.0f}", yes=code(f"/mode {wanted} yes"),
        ),
    )  # fmt: skip
    yes = Action(t("{mode} at the next start", mode=wanted.capitalize()), f"/mode {wanted} yes {nonce}")
    return Reply(question.runs, (yes, Action(t("Leave it"), f"/mode {wanted} no {nonce}")))


def _running(context: Context, wanted: str) -> str:
    now = context.view.status().mode
    if now == wanted:
        return t("It runs as {mode} already.", mode=now.upper())
    return t("Until then it goes on as {mode}.", mode=now.upper())


def _shown(context: Context, desk: ModeDesk, wanted: str) -> Hashable:
    """What a yes agrees to."""
    return wanted, context.view.status().mode, desk.following(), desk.stamp()


def _in_hand(view: TradingView, wanted: str) -> list[str]:
    """Why the running mode cannot be left. Where it is not left there is nothing to say."""
    state, held = view.status(), view.positions()
    if state.mode == wanted:
        return []
    found = []
    ours = [one for one in held if not one.external]
    if ours:
        names = ", ".join(dict.fromkeys(symbol_text(one.symbol) for one in ours))
        found.append(
            many(len(ours), t("1 position open ({names}): /flatten first"),
                 t("{n} positions open ({names}): /flatten first"), names=short(names, 120))
        )  # fmt: skip
    orders = view.orders()
    unknown = [one for one in orders if one.unknown]
    if unknown:
        names = ", ".join(dict.fromkeys(symbol_text(one.symbol) for one in unknown))
        found.append(
            many(len(unknown), t("1 order whose outcome nobody knows ({names}): wait, see /orders"),
                 t("{n} orders whose outcome nobody knows ({names}): wait, see /orders"), names=short(names, 120))
        )  # fmt: skip
    working = sum(not one.status.final for one in orders if not one.unknown)
    if working or (state.open_rungs and not ours):
        found.append(
            many(max(working, 1), t("1 order at work: /pause, and wait until /orders shows none"),
                 t("{n} orders at work: /pause, and wait until /orders shows none"))
        )  # fmt: skip
    if state.gtts:
        names = ", ".join(map(symbol_text, state.gtts))
        found.append(
            t("a GTT of ours rests at the broker, or may ({names}): cancel it there, or wait", names=short(names, 120))
        )
    if Block.RECOVERY.value in state.blocks or state.unread:
        found.append(t("what is held is not known: wait until the comparison with the broker is clean, see /health"))
    if Block.FLATTEN.value in state.blocks or state.flatten:
        found.append(t("a flatten is queued or under way: wait for its end"))
    traded = {one.symbol for one in view.rows() if one.strategy}
    foreign = [one.symbol for one in held if one.external and one.symbol in traded]
    if foreign:
        names = ", ".join(dict.fromkeys(map(symbol_text, foreign)))
        found.append(t("not clear whose they are: {names}; close them at the broker", names=short(names, 120)))
    return found
