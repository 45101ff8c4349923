"""Commands that are answered by a picture, with its words under it; by the words alone where none can be drawn.

The words are in the reader's language; what is drawn is English always, as the child's fonts know no Indian script.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from otrade_bot.control import views, views_pictures, words
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.pictures import PictureDesk
from otrade_bot.control.reply import Action, Reply, italic, lines, text
from otrade_bot.control.symbols import resolved
from otrade_bot.core.clock import ist_date
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import speaking, t
from otrade_bot.core.money import rupees_text
from otrade_bot.research.drawings import DayChart, Drawing, MoneyBar, MoneyBars, MoneyCurve, ScoreCard
from otrade_bot.research.past import Ask, Past, Period
from otrade_bot.trading.snapshot import StatusView

__all__ = ["CHARTS", "Chart", "Daily", "Look", "pnl"]

Shade = Literal["dark", "light", ""]
Candles = Literal["1m", "5m", "15m"]
_CANDLES = ("1m", "5m", "15m")
#: What the last words of a line say.
_PLACES = {"dark": "shade", "light": "shade", **dict.fromkeys(_CANDLES, "candles")}


def _told(values: Any, first: str, *options: str) -> Any:
    """Shade and candles may stand in any order, and without what is before them; the words that are left are
    ``first``'s."""
    if not isinstance(values, dict):
        return values
    pieces = [piece for value in values.values() for piece in str(value).split()]
    found: dict[str, str] = {}
    while pieces and (place := _PLACES.get(pieces[-1].lower(), "")) in options and place not in found:
        found[place] = pieces.pop().lower()
    return {first: " ".join(pieces), **found} if pieces else found


class Look(Arguments):
    """Light is the default: it reads better in the sun."""

    shade: Shade = ""


class Chart(Arguments):
    """``/chart M&M 5m dark``"""

    symbol: str = Field(min_length=1, max_length=60)
    candles: Candles = "5m"
    shade: Shade = ""
    more: str = Field("", max_length=0)  #: so that a name of two words leaves room for both options

    @model_validator(mode="before")
    @classmethod
    def _anywhere(cls, values: Any) -> Any:
        return _told(values, "symbol", "candles", "shade")


class Daily(Arguments):
    """How many, the newest last."""

    n: int = Field(10, ge=1, le=60)
    shade: Shade = ""

    @model_validator(mode="before")
    @classmethod
    def _anywhere(cls, values: Any) -> Any:
        return _told(values, "n", "shade")


class Weekly(Daily):
    n: int = Field(8, ge=1, le=52)


class Monthly(Daily):
    n: int = Field(6, ge=1, le=24)


class Performance(Daily):
    n: int = Field(30, ge=1, le=250)


async def _chart(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Chart)
    desk, view = _desk(context), context.view
    symbol = resolved(arguments.symbol, sorted({one.symbol for one in view.rows()}))
    minutes = int(arguments.candles[:-1])
    day = desk.symbol_day(symbol, minutes)
    held = [one for one in view.positions() if one.symbol == symbol]
    booked = [one for one in view.trades() if one.symbol == symbol]
    said = views_pictures.chart(day, held, booked)
    if not day.candles:
        return said
    name, last = words.symbol_text(symbol), day.candles[-1]
    with speaking("en"):
        note = f"{words.day_text(last[0] - 1)} · {minutes} min · {_source(view.status())}".rstrip(" ·")
    drawing = DayChart(
        name, note, minutes, day.candles, day.averages, day.levels, day.marks, _dark(arguments)
    )
    shown = await _shown(desk, said, drawing, f"{name}-{minutes}m-{ist_date(last[0] - 1)}")
    shade = " dark" if _dark(arguments) else ""
    buttons = [Action(one, f"/chart {name} {one}{shade}", edit=True) for one in _CANDLES]
    return Reply(shown.runs, tuple(buttons), shown.picture)


async def pnl(context: Context, arguments: Arguments) -> Reply:
    """The day's sums; with the curve of the day where one can be drawn."""
    assert isinstance(arguments, Look)
    view, desk = context.view, context.pictures
    state, held, booked = view.status(), view.positions(), view.trades()
    said = views.pnl(state, held, booked)
    points = desk.curve() if desk is not None else ()
    if desk is None or len(points) < 2:
        return said
    ended = tuple((one.exit_ns, one.net) for one in sorted(booked, key=lambda one: one.exit_ns))
    with speaking("en"):
        note = f"{words.day_text(state.now_ns)} · {_source(state)}".rstrip(" ·")
    drawing = MoneyCurve(_net(state.net), note, tuple(points), ended, _dark(arguments))
    return await _shown(desk, said, drawing, "pnl")


async def _daily(context: Context, arguments: Arguments) -> Reply:
    return await _spans(context, arguments, "day")


async def _weekly(context: Context, arguments: Arguments) -> Reply:
    return await _spans(context, arguments, "week")


async def _monthly(context: Context, arguments: Arguments) -> Reply:
    return await _spans(context, arguments, "month")


async def _spans(context: Context, arguments: Arguments, period: Period) -> Reply:
    assert isinstance(arguments, Daily)
    desk, mode = _desk(context), context.view.status().mode
    past = await desk.past(_ask(context, period, arguments.n))
    said = views_pictures.spans(past, period, mode)
    if not past.spans:
        return said
    bars = tuple(MoneyBar(views_pictures.span_text(one, period), one.net, one.charges) for one in past.spans)
    drawing = MoneyBars(_net(past.total.net), f"{_extent(past)} · {mode.upper()}", bars, _dark(arguments))
    return await _shown(desk, said, drawing, f"net-by-{period}")


async def _performance(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Performance)
    desk, mode = _desk(context), context.view.status().mode
    past = await desk.past(_ask(context, "day", arguments.n))
    said = views_pictures.performance(past, mode)
    if not past.total.trades:
        return said
    total, curve = 0, []
    for one in past.spans:
        total += one.net
        curve.append((views_pictures.span_text(one, "day"), total))
    note = f"{_extent(past)} · {mode.upper()}"
    card = ScoreCard(_net(past.total.net), note, past.strategies, past.symbols, tuple(curve), _dark(arguments))
    return await _shown(desk, said, card, "performance")


def _net(paise: int) -> str:
    return f"Net {rupees_text(paise, sign=True)}"


def _source(state: StatusView) -> str:
    """'PAPER · simulated prices': of the label what has room in a picture, where the day stands anyway."""
    return views.label(replace(state, note=""))


def _ask(context: Context, period: Period, count: int) -> Ask:
    state = context.view.status()
    return Ask(period, count, state.mode, ist_date(state.now_ns).isoformat())


def _extent(past: Past) -> str:
    """'13 Jul to 21 Aug 2026'."""
    first, last = date.fromisoformat(past.spans[0].first), date.fromisoformat(past.spans[-1].last)
    if first == last:
        return f"{last.day} {last:%b %Y}"
    return f"{first.day} {first:%b} to {last.day} {last:%b %Y}"


def _dark(arguments: Look | Chart | Daily) -> bool:
    return arguments.shade == "dark"


def _desk(context: Context) -> PictureDesk:
    if context.pictures is None:
        raise CommandException(t("Pictures and past days are not available here."))
    return context.pictures


async def _shown(desk: PictureDesk, said: Reply, drawing: Drawing, name: str) -> Reply:
    drawn = await desk.draw(drawing, re.sub(r"[^\w.-]+", "-", name) + ".png")
    if isinstance(drawn, str):
        return lines(said, text(italic(t("No picture: {why}", why=drawn))))
    return Reply(said.runs, said.actions, drawn)


CHARTS = (
    Command("chart", Role.VIEWER, "candles, entries, stops and exits", _chart, Chart, "SYMBOL [1m|5m|15m] [dark]"),
    Command("daily", Role.VIEWER, "net of the last days", _daily, Daily, "[n] [dark]"),
    Command("weekly", Role.VIEWER, "net of the last weeks", _weekly, Weekly, "[n] [dark]"),
    Command("monthly", Role.VIEWER, "net of the last months", _monthly, Monthly, "[n] [dark]"),
    Command("performance", Role.VIEWER, "by strategy and symbol", _performance, Performance, "[n] [dark]"),
)
