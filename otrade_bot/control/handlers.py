"""The commands of the first release, and the table that holds them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

from pydantic import Field, field_validator

from otrade_bot.control import views, views_card, views_checks
from otrade_bot.control.audit import AUDIT
from otrade_bot.control.auth import Role
from otrade_bot.control.charts import CHARTS, Look, pnl
from otrade_bot.control.code import CODE
from otrade_bot.control.commands import Arguments, Command, Context, Table, usage
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.day import DAY
from otrade_bot.control.hands import HANDS
from otrade_bot.control.keyboard import KEYBOARD
from otrade_bot.control.levels import LEVELS
from otrade_bot.control.login import Login, log_in
from otrade_bot.control.mode import Mode, change_mode
from otrade_bot.control.mute import MUTES
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.control.settings import SETTINGS
from otrade_bot.control.signals import SIGNALS
from otrade_bot.control.users import USERS
from otrade_bot.control.words import short, symbol_text
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.trading.snapshot import Position

__all__ = ["COMMANDS", "Count", "Flatten", "Symbol"]

#: Symbols under /positions that have buttons of their own, and for how long those count, s: what they do asks back.
MOST_APART, ASKS_S = 4, 900.0


class Count(Arguments):
    """How many rows, the newest first."""

    n: int = Field(20, ge=1, le=500)


class Symbol(Arguments):
    """An instrument, with or without its exchange."""

    symbol: str = Field(min_length=1, max_length=60)


class Flatten(Arguments):
    """The answer to the question that /flatten asks; ``nonce`` comes from a button."""

    word: Literal["yes", "no", ""] = ""
    nonce: str = Field("", max_length=16)

    @field_validator("word", mode="before")
    @classmethod
    def _any_case(cls, word: object) -> object:
        """Phones begin words with a capital."""
        return word.lower() if isinstance(word, str) else word


class Start(Arguments):
    """What a deep link brings along: the gate has judged it."""

    code: str = ""


async def _start(context: Context, _: Arguments) -> Reply:
    return lines(
        text(bold(views.NAME), f" {context.version}".rstrip()),
        filled(t("Hello {name}, your role is {role}."), name=bold(context.user), role=context.role.word),
        filled(t("{status} shows how it stands, {help} lists the commands."), status=code("/status"),
               help=code("/help")),
    )  # fmt: skip


class Help(Arguments):
    """Of which command; without one of all."""

    command: str = Field("", max_length=40)


async def _help(context: Context, arguments: Arguments) -> Reply:
    """Only what this role may do: the rest would be an invitation to be refused."""
    assert isinstance(arguments, Help)
    allowed = context.table.allowed(context.role)
    if name := arguments.command.lstrip("/").casefold():
        found = next((usage(command) for command in allowed if command.name == name), None)
        if found is None:
            raise CommandException(t("There is no command /{name} for you.", name=short(name, 40)))
        return found
    rows: list[Reply] = []
    topics, topic = _topics(), ""
    for command in context.table:
        topic = topics.pop(command.name, topic)
        if command not in allowed:
            continue
        if topic:
            rows.append(bold(topic))
            topic = ""
        rows.append(text(f"/{command.name} {command.takes}".rstrip(), f" · {t(command.help)}"))
    head = filled(t("{commands} for {role}"), commands=bold(t("Commands")), role=context.role.word)
    return lines(head, *rows, _by_answering(context))


def _topics() -> dict[str, str]:
    """What the commands are about, by the first one of each kind in the table."""
    return {
        "status": t("To look"), "approve": t("To trade"), "chart": t("Pictures"), "close": t("One position"),
        "mute": t("What you are told"), "risk": t("Limits and strategies"), "audit": t("The machine"),
        "login": t("Login, mode and people"),
    }  # fmt: skip


def _by_answering(context: Context) -> Reply | str:
    """What works only in a chat, for those who may."""
    if context.session == "terminal" or context.role < Role.OPERATOR:
        return ""
    words = (code(word) for word in ("sl 245", "target 260", "half", "exit"))
    said = [piece for word in words for piece in (" · ", word)][1:]
    return filled(t("Or answer a message about a symbol with: {words}"), words=text(*said))


async def _status(context: Context, _: Arguments) -> Reply:
    return views.status(context.view.status(), context.now_ns(), context.delivery())


async def _card(context: Context, _: Arguments) -> Reply:
    view = context.view
    return views_card.card(view.status(), view.positions(), context.role, context.now_ns(), context.delivery())


async def _positions(context: Context, _: Arguments) -> Reply:
    held, unread = context.view.positions(), context.view.status().unread
    said = views.positions(held, unread)
    ours = list(dict.fromkeys(one.symbol for one in held if not one.external))
    if unread or not ours or context.session == "terminal" or context.role < Role.OPERATOR:
        return said
    return Reply(lines(said, _by_answering(context)).runs, _deeds(sorted(ours)))


def _deeds(ours: Sequence[str]) -> tuple[Action, ...]:
    """Close and stop of each; where they would be too many, of which one is asked."""
    if len(ours) > MOST_APART:
        return (
            Action(t("Close"), "/close", seconds=ASKS_S, again=True),
            Action(t("Stop"), "/sl", seconds=ASKS_S, again=True),
        )
    actions: list[Action] = []
    for one in ours:
        name = symbol_text(one)
        actions.append(Action(t("Close {symbol}", symbol=name), f"/close {one}", seconds=ASKS_S, again=True))
        actions.append(Action(t("Stop of {symbol}", symbol=name), f"/sl {one}", seconds=ASKS_S, again=True))
    return tuple(actions)


async def _orders(context: Context, arguments: Arguments) -> Reply:
    return views.orders(context.view.orders(), _n(arguments))


async def _trades(context: Context, arguments: Arguments) -> Reply:
    return views.trades(context.view.trades(), _n(arguments))


async def _logs(context: Context, arguments: Arguments) -> Reply:
    newest = _n(arguments)
    return views.logs(list(context.log_tail(newest))[-newest:])


def _n(arguments: Arguments) -> int:
    assert isinstance(arguments, Count)
    return arguments.n


async def _pause(context: Context, _: Arguments) -> Reply:
    fresh = context.view.pause(context.user)
    return lines(
        bold(t("Entries are paused.") if fresh else t("Entries were paused already.")),
        t("Stops, targets, square-off and /flatten go on working."),
        filled(t("{resume} allows entries again."), resume=code("/resume")),
    )


async def _resume(context: Context, _: Arguments) -> Reply:
    fresh = context.view.resume(context.user)
    head = t("The pause is over.") if fresh else t("Entries were not paused.")
    state = context.view.status()
    reasons = views.blocks(state)
    free = (
        t("Nothing blocks entries, but by the clock they {when}.", when=views.window(state))
        if state.window
        else t("Entries are allowed.")
    )
    return lines(bold(head), lines(t("Entries are still blocked:"), reasons) if reasons else free, bold(state.flatten))


async def _config(context: Context, _: Arguments) -> Reply:
    return views.config(context.config_text())


async def _version(context: Context, _: Arguments) -> Reply:
    return views.version(context.version)


async def _health(context: Context, _: Arguments) -> Reply:
    view = context.view
    own = views_checks.health_checks(view.status(), view.positions(), view.orders(), view.rows())
    return views_checks.health([*own, *context.checks()])


async def _flatten(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Flatten)
    if arguments.word == "no":
        dropped = context.confirmations.drop(context.session, "flatten")
        return text(t("Nothing was closed.") if dropped else t("Nothing was asked, nothing was closed."))
    if arguments.word == "":
        return _ask(context)
    held = context.view.positions()
    verdict = context.confirmations.answer(
        context.session, "flatten", lambda shown: _covered(held, shown), arguments.nonce
    )
    if verdict is Verdict.CONFIRMED:
        said = await context.view.flatten(context.user)
        return views_checks.flatten_result(said, context.view.positions())
    if verdict is Verdict.CHANGED:
        return _ask(context, changed=True)
    if verdict is Verdict.UNSEEN:
        said = t("that yes came before the question had reached you. Answer it now.")
        return text(bold(t("Nothing was closed:")), f" {said}")
    return lines(_not_confirmed(context, verdict), "" if arguments.nonce else _ask(context))


def _not_confirmed(context: Context, verdict: Verdict) -> Reply:
    if verdict is Verdict.EXPIRED:
        seconds = f"{context.confirmations.seconds:.0f}"
        return bold(t("Too late: a yes counts for {seconds} s. Nothing was closed.", seconds=seconds))
    return text(bold(t("Nothing was closed:")), " ", t("no question of yours is open."))


def _ask(context: Context, changed: bool = False) -> Reply:
    held = context.view.positions()
    confirmations = context.confirmations
    nonce = confirmations.ask(context.session, "flatten", _held(held))
    return views_checks.flatten_preview(held, context.view.orders(), confirmations.seconds, nonce, changed)


def _held(held: Sequence[Position]) -> Hashable:
    """What a yes agrees to: rungs and quantities. Prices and stops may move meanwhile."""
    return tuple(((one.symbol, one.strategy, one.rung, one.side, one.external), one.quantity) for one in held)


def _covered(held: Sequence[Position], shown: Hashable) -> bool:
    """All that is held was shown: a stop that went off meanwhile needs no second question, a new position
    does."""
    agreed = dict(shown) if isinstance(shown, tuple) else {}
    now = _held(held)
    return isinstance(now, tuple) and all(quantity <= agreed.get(key, 0) for key, quantity in now)


COMMANDS = Table(
    (
        Command("start", Role.VIEWER, "a greeting and your role", _start, Start, quiet=True),
        Command("help", Role.VIEWER, "this list", _help, Help, "[COMMAND]"),
        Command("status", Role.VIEWER, "how it stands: phase, P&L, blocks, feed", _status),
        Command("card", Role.VIEWER, "the pinned card, here and now", _card),
        Command("positions", Role.VIEWER, "open positions by symbol", _positions),
        Command("orders", Role.VIEWER, "orders of the day, newest first", _orders, Count, "[n]"),
        Command("trades", Role.VIEWER, "booked round trips, newest first", _trades, Count, "[n]"),
        Command("pnl", Role.VIEWER, "profit and loss of the day, by symbol", pnl, Look, "[dark]"),
        *SIGNALS,
        Command("pause", Role.OPERATOR, "no new entries; exits go on", _pause),
        Command("resume", Role.OPERATOR, "allow entries again", _resume),
        Command(
            "flatten", Role.OPERATOR, "close everything, after a question", _flatten, Flatten, "[yes|no]"
        ),
        *CHARTS,
        *LEVELS,
        *DAY,
        *HANDS,
        *MUTES,
        *SETTINGS,
        *AUDIT,
        Command("config", Role.VIEWER, "settings in force, secrets masked", _config),
        Command("health", Role.VIEWER, "feed, stops, orders, warm-up", _health),
        Command("logs", Role.VIEWER, "the last log lines", _logs, Count, "[n]", pages="last"),
        *KEYBOARD,
        Command("version", Role.VIEWER, "which version runs", _version),
        Command("login", Role.ADMIN, "the broker's daily login", log_in, Login, "[kite|upstox]", quiet=True),
        Command("mode", Role.ADMIN, "paper or live at the next start", change_mode, Mode, "[live|paper]"),
        USERS,
        CODE,
    )
)
