"""/mode: paper or live, from the next start on. Asked back, and only with empty hands."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from pydantic import Field, field_validator

from otrade_bot.control.commands import Arguments, Context
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.reply import Action, Reply, bold, code, lines, text
from otrade_bot.control.words import count, short, symbol_text
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
        raise CommandException("The mode cannot be changed here.")
    try:
        return _answered(context, desk, arguments)
    except ConfigException as error:
        raise CommandException(f"Nothing was changed: {error}") from error


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
        head = bold(f"Nothing was changed. {wanted.upper()} is not possible now:")
        return lines(head, *(f"• {one}" for one in against))
    if wanted == "live" and (asked := context.prove("/mode live", t("LIVE at the next start"))):
        return asked
    if not given.word:
        return _ask(context, desk, wanted)
    shown = _shown(context, desk, wanted)
    verdict = context.confirmations.answer(context.session, _ACTION, lambda agreed: agreed == shown, given.nonce)
    if verdict is Verdict.CONFIRMED:
        path = desk.write(wanted, context.user)
        return lines(bold(f"The next start is {wanted.upper()}."), f"Written to {path}.", _running(context, wanted))
    if verdict is Verdict.CHANGED:
        return _ask(context, desk, wanted, changed=True)
    if verdict is Verdict.UNSEEN:
        return text(bold("Nothing was changed:"), " that yes came before the question had reached you. Answer it now.")
    if verdict is Verdict.EXPIRED:
        return bold(f"Too late: a yes counts for {context.confirmations.seconds:.0f} s. Nothing was changed.")
    return text(bold("Nothing was changed:"), " no question of yours is open. ", code(f"/mode {wanted}"), " asks.")


def _standing(context: Context, desk: ModeDesk) -> Reply:
    """The mode now, and at the next start."""
    now, following = context.view.status().mode, desk.following()
    return lines(
        text("Now: ", bold(now.upper())),
        text("At the next start: ", bold(following.upper()), "" if following != now else ", the same"),
    )


def _ask(context: Context, desk: ModeDesk, wanted: str, changed: bool = False) -> Reply:
    nonce = context.confirmations.ask(context.session, _ACTION, _shown(context, desk, wanted))
    what = (
        "Real orders with real money, on the account that brokers.json names."
        if wanted == "live"
        else "No real orders any more. What is held at the broker then is watched by nobody."
    )
    question = lines(
        bold("The settings have changed. Look again.") if changed else "",
        bold(f"{wanted.upper()} from the next start on?"),
        what,
        _running(context, wanted),
        text(f"Within {context.confirmations.seconds:.0f} s: ", code(f"/mode {wanted} yes"), " to do it."),
    )
    yes = Action(f"{wanted.capitalize()} at the next start", f"/mode {wanted} yes {nonce}")
    return Reply(question.runs, (yes, Action("Leave it", f"/mode {wanted} no {nonce}")))


def _running(context: Context, wanted: str) -> str:
    now = context.view.status().mode
    return f"Until then it goes on as {now.upper()}." if now != wanted else f"It runs as {now.upper()} already."


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
        found.append(f"{count(len(ours), 'position')} open ({short(names, 120)}): /flatten first")
    orders = view.orders()
    unknown = [one for one in orders if one.unknown]
    if unknown:
        names = ", ".join(dict.fromkeys(symbol_text(one.symbol) for one in unknown))
        many = count(len(unknown), "order")
        found.append(f"{many} whose outcome nobody knows ({short(names, 120)}): wait, see /orders")
    working = sum(not one.status.final for one in orders if not one.unknown)
    if working or (state.open_rungs and not ours):
        found.append(f"{count(max(working, 1), 'order')} at work: /pause, and wait until /orders shows none")
    if state.gtts:
        names = ", ".join(map(symbol_text, state.gtts))
        found.append(f"a GTT of ours rests at the broker, or may ({short(names, 120)}): cancel it there, or wait")
    if Block.RECOVERY.value in state.blocks or state.unread:
        found.append("what is held is not known: wait until the comparison with the broker is clean, see /health")
    if Block.FLATTEN.value in state.blocks or state.flatten:
        found.append("a flatten is queued or under way: wait for its end")
    traded = {one.symbol for one in view.rows() if one.strategy}
    foreign = [one.symbol for one in held if one.external and one.symbol in traded]
    if foreign:
        names = ", ".join(dict.fromkeys(map(symbol_text, foreign)))
        found.append(f"not clear whose they are: {short(names, 120)}; close them at the broker")
    return found
