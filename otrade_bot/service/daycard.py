"""The day's card: a picture that follows the words of the day's report."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from otrade_bot.control import views, words
from otrade_bot.control.pictures import PictureDesk
from otrade_bot.control.reply import Reply, code, filled, italic, lines, text
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text
from otrade_bot.research.drawings import DayCard, MoneyBar
from otrade_bot.service.logs import get_logger
from otrade_bot.trading.snapshot import TradingView

__all__ = ["DayCards", "day_card"]


class DayCards:
    """An observer. ``beside`` shows a picture to whoever is told of an event; ``view`` is today's engine. ``head`` is
    the journal's newest hash: in a chat nobody can change it, whatever becomes of the file."""

    def __init__(
        self, desk: PictureDesk, view: Callable[[], TradingView], beside: Callable[[Event, Reply], None],
        head: Callable[[], str] = str,
    ) -> None:  # fmt: skip
        self._desk, self._view, self._beside, self._head = desk, view, beside, head
        self._tasks: set[asyncio.Task[None]] = set()

    def on_event(self, event: Event) -> None:
        """Drawn while the day goes on; what fails is logged, the words are there anyway."""
        if event.kind is not EventKind.DAY:
            return
        task = asyncio.get_running_loop().create_task(self._show(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """At the end: let what is being drawn come, at most so long; without its picture it would say nothing."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _show(self, event: Event) -> None:
        try:
            card = day_card(event.data, self._view(), tuple(self._desk.curve()))
            drawn = await self._desk.draw(card, f"day-{event.data.get('day', 'report')}.png")
            if isinstance(drawn, str):
                get_logger("error").error("the day's card is not drawn", why=drawn)
            else:
                head = self._head()
                said = lines(
                    text(italic(views.label(self._view().status()))),
                    t("The day at a glance"),
                    filled(t("Journal so far: {hash}"), hash=code(head)) if head else "",
                )
                self._beside(event, Reply(said.runs, picture=drawn))
        except Exception as error:
            get_logger("error").error("the day's card is not shown", error=repr(error))


def day_card(data: Mapping[str, Any], view: TradingView, points: tuple[tuple[int, int], ...]) -> DayCard:
    """Of the DAY event's data, and of what was booked."""
    state, booked = view.status(), view.trades()
    nets: Counter[str] = Counter()
    for trade in booked:
        nets[trade.symbol] += trade.net
    ranked = sorted(nets.items(), key=lambda one: (-one[1], one[0]))
    still_open = len(data.get("open_positions") or ())
    cells = (
        ("Round trips", f"{data['trades']} · {data['wins']} won", 0),
        ("Gross", rupees_text(data["gross_paise"], sign=True), _tone(data["gross_paise"])),
        ("Charges", rupees_text(data["charges_paise"]), 0),
        ("Signals · orders", f"{data['signals']} · {data['orders']}", 0),
        *_extremes(data),
        *((("Still open", str(still_open), -1),) if still_open else ()),
    )
    note = f"{words.day_text(state.now_ns)} · {views.label(replace(state, note=''))}".rstrip(" ·")
    bars = tuple(MoneyBar(symbol, net) for symbol, net in ranked)
    return DayCard("Day report", note, data["net_paise"], cells, bars, points)


def _extremes(data: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    named = ((head, data[key]) for head, key in (("Best", "best"), ("Worst", "worst")) if data.get(key))
    return tuple(
        (head, f"{words.symbol_text(one['symbol'])} {words.whole_rupees(one['net_paise'])}", _tone(one["net_paise"]))
        for head, one in named
    )


def _tone(paise: int) -> int:
    return (paise > 0) - (paise < 0)
