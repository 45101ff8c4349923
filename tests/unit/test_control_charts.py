"""Answers with a picture: what it shows stands in words under it, and the words come also where no picture can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from control_fakes import NOON, FakeEngine, context, names, position, trade
from drawn import HOSTILE, candles
from phone_desk import OWNER, desk

from otrade_bot.config.models import Notifications, User
from otrade_bot.control import words
from otrade_bot.control.charts import Chart, Daily, Look
from otrade_bot.control.commands import answer
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.news.pushes import Pushes
from otrade_bot.control.pictures import SymbolDay
from otrade_bot.control.reply import Picture, Reply
from otrade_bot.core import lang
from otrade_bot.core.clock import MINUTE
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.research.charts import png_of
from otrade_bot.research.drawings import Average, DayCard, DayChart, Drawing, MoneyBars, MoneyCurve, Score, ScoreCard
from otrade_bot.research.past import Ask, Past, Span
from otrade_bot.service.daycard import DayCards

PNG = Picture("x.png", b"\x89PNG\r\n\x1a\n...")


class Desk:
    """A PictureDesk that notes what is asked. ``why``: why there are no pictures."""

    def __init__(self, number: int = 30, why: str = "") -> None:
        self.number, self.why = number, why
        self.drawings: list[tuple[str, Drawing]] = []
        self.asked: list[Ask] = []
        self.told = past(3)

    def symbol_day(self, symbol: str, minutes: int) -> SymbolDay:
        rows = candles(self.number, minutes)
        return SymbolDay(symbol, minutes, rows, (Average("ema9", ((rows[0][0], 2_150.0),)),) if rows else ())

    def curve(self) -> Sequence[tuple[int, int]]:
        return [(NOON + at * MINUTE, at * 100) for at in range(self.number)]

    async def past(self, asked: Ask) -> Past:
        self.asked.append(asked)
        if self.why == "past":
            raise CommandException("Past days cannot be told: it failed.")
        return self.told

    async def draw(self, drawing: Drawing, name: str) -> Picture | str:
        self.drawings.append((name, drawing))
        return self.why or replace(PNG, name=name)


def past(days: int, symbols: int = 2, **more: Any) -> Past:
    spans = tuple(Span(f"2021-05-{at + 10:02}", f"2021-05-{at + 10:02}", 1, 4, 3, 200, 50, 150) for at in range(days))
    rows = tuple(
        Score(f"NSE:{(*HOSTILE, *names(90))[at]}", 4, 3, 9_000 - at * 200, 1.5, 7, 3) for at in range(symbols)
    )
    total = Score("all", 4 * days, 3 * days, 150 * days, -1.0, 0, 50 * days)
    return Past(spans, total if days else Score("all", 0, 0, 0, 0.0, 0, 0), rows[:1], rows, **more)


def say(line: str, pictures: Desk | None, engine: FakeEngine | None = None) -> Reply:
    return asyncio.run(answer(replace(context(engine or FakeEngine(6)), pictures=pictures), line))


@pytest.mark.parametrize(
    ("line", "symbol", "minutes", "dark"),
    [
        ("/chart M&M", "M-M-5m", 5, False), ("/chart m&m 15m", "M-M-15m", 15, False),
        ("/chart M&M dark 1m", "M-M-1m", 1, True), ("/chart NSE:M&M 1m DARK", "M-M-1m", 1, True),
        ("/chart M&M light", "M-M-5m", 5, False),
    ],
)  # fmt: skip
def test_candles_and_shade_are_said_in_any_order(line: str, symbol: str, minutes: int, dark: bool) -> None:
    pictures = Desk()
    said = say(line, pictures)
    assert said.picture is not None
    ((name, drawing),) = pictures.drawings
    assert isinstance(drawing, DayChart)
    assert (name, drawing.minutes, drawing.dark, drawing.head) == (f"{symbol}-2026-09-16.png", minutes, dark, "M&M")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"symbol": "NIFTY", "candles": "50", "shade": "5m", "more": "dark"}, "symbol", "NIFTY 50"),
        ({"n": "dark"}, "n", 10), ({"n": "20", "shade": "dark"}, "shade", "dark"), ({"shade": "dark"}, "shade", "dark"),
    ],
)  # fmt: skip
def test_words_find_their_own_places(given: dict[str, str], field: str, value: object) -> None:
    model = Chart if "symbol" in given else Daily if "n" in given else Look
    assert getattr(model.model_validate(given), field) == value


@pytest.mark.parametrize("line", ["/chart 5m", "/daily 0", "/daily 61", "/daily many", "/pnl red", "/weekly 53"])
def test_what_cannot_be_meant_is_answered_by_the_usage(line: str) -> None:
    pictures = Desk()
    assert f"Usage: {line.split()[0]}" in say(line, pictures).to_plain()
    assert not pictures.drawings


def test_the_words_under_a_chart_say_what_it_shows() -> None:
    engine = FakeEngine()
    engine.followed = [replace(engine.followed[0], symbol="NSE:M&M")]
    engine.held = [position("NSE:M&M", 1), position("NSE:M&M", 2, stop=0)]
    engine.booked = [trade("NSE:M&M", 2), trade("NSE:SBIN", 1)]
    said = say("/chart M&M", Desk(), engine)
    plain = said.to_plain()
    assert "M&M · 5 min candles · Wed 16 Sep 2026" in plain
    assert "P1 12 × 2,140.00 · stop 2,086.50 · target 2,247.00 · +₹180.60" in plain
    assert "P2 12 × 2,140.00 · no stop" in plain
    assert "Booked today: 1 trade, net +₹167.66" in plain
    assert "ema9 2,150.00" in plain
    assert [action.line for action in said.actions] == ["/chart M&M 1m", "/chart M&M 5m", "/chart M&M 15m"]
    assert all(action.edit for action in said.actions)
    assert [run.text for run in said.runs if run.tags == ("code",)] == ["M&M"], "one symbol to answer to"


def test_a_day_without_prices_needs_no_picture() -> None:
    pictures = Desk(0)
    said = say("/chart M&M", pictures)
    assert "No prices yet today." in said.to_plain()
    assert said.picture is None
    assert not pictures.drawings


@pytest.mark.parametrize("line", ["/chart M&M", "/pnl", "/daily", "/weekly", "/monthly", "/performance"])
def test_where_no_picture_can_be_drawn_the_words_are_the_answer(line: str) -> None:
    well, ill = say(line, Desk()), say(line, Desk(why="it took longer than 10 s"))
    assert well.picture is not None
    assert ill.picture is None
    assert ill.to_plain() == f"{well.to_plain()}\nNo picture: it took longer than 10 s"


def test_pnl_is_told_without_any_desk_for_pictures_and_the_others_say_what_is_missing() -> None:
    assert "Net" in say("/pnl", None).to_plain()
    assert "not available here" in say("/chart M&M", None).to_plain()
    assert "not available here" in say("/daily", None).to_plain()


def test_the_curve_of_the_day_has_a_dot_for_each_trade() -> None:
    pictures = Desk()
    say("/pnl dark", pictures)
    ((name, drawing),) = pictures.drawings
    assert isinstance(drawing, MoneyCurve)
    assert (name, drawing.dark, len(drawing.booked), len(drawing.points)) == ("pnl.png", True, 6, 30)
    assert list(drawing.booked) == sorted(drawing.booked)


@pytest.mark.parametrize(
    ("line", "period", "number"),
    [("/daily", "day", 10), ("/daily 3 dark", "day", 3), ("/weekly", "week", 8), ("/monthly 2", "month", 2)],
)  # fmt: skip
def test_bars_show_the_rows_that_the_words_list(line: str, period: str, number: int) -> None:
    pictures = Desk()
    said = say(line, pictures).to_plain()
    assert pictures.asked == [Ask(period, number, "paper", "2021-06-01")]  # type: ignore[arg-type]
    ((_, drawing),) = pictures.drawings
    assert isinstance(drawing, MoneyBars)
    assert [bar.net for bar in drawing.bars] == [150, 150, 150]
    assert "+₹4.50 after charges of ₹1.50 · 12 trades" in said
    if period == "day":
        assert said.index("12 May") < said.index("11 May") < said.index("10 May"), "the newest first"


def test_performance_says_the_best_and_the_worst_and_how_many_lie_between() -> None:
    pictures = Desk()
    pictures.told = past(20, symbols=30, others=2, unread=5, broken=("2021-05-03: corrupt",))
    said = say("/performance", pictures).to_plain()
    assert pictures.asked == [Ask("day", 30, "paper", "2021-06-01")]
    assert "75% won · profit factor ∞ · drawdown ₹0.00" in said
    assert "… and 18 between the best and the worst" in said
    assert "2 live days are left out. 5 older days are not read yet: ask again. Cannot be read: 2021-05-03" in said
    ((_, drawing),) = pictures.drawings
    assert isinstance(drawing, ScoreCard)
    assert drawing.curve[-1] == ("29 May", 3_000)
    assert max(map(len, said.splitlines()[4:-2])) <= words.WIDTH, "it fits a phone"


@pytest.mark.parametrize("line", ["/daily", "/weekly", "/monthly", "/performance"])
def test_without_a_past_there_is_a_word_and_no_picture(line: str) -> None:
    pictures = Desk()
    pictures.told = past(0, 0)
    said = say(line, pictures)
    assert "yet" in said.to_plain()
    assert not pictures.drawings


def test_a_past_that_cannot_be_told_says_so() -> None:
    assert "Past days cannot be told: it failed." in say("/daily", Desk(why="past")).to_plain()


@pytest.mark.parametrize("line", ["/chart M&M", "/pnl", "/daily", "/monthly", "/performance"])
def test_what_is_drawn_is_english_in_every_language(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(dict[str, str]):
        def get(self, english: str, _: object = None) -> str:  # type: ignore[override]
            return f"अ{english}"

    monkeypatch.setattr(lang, "catalogue", lambda spoken: Other())
    english, hindi = Desk(), Desk()
    say(line, english)
    with lang.speaking("hi"):
        said = say(line, hindi)
    assert "अ" in said.to_plain() or line == "/pnl", "the words are not"
    assert hindi.drawings == english.drawings


async def test_on_the_phone_the_picture_comes_with_its_words_and_changes_in_place(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        pictures = Desk()
        made.pictures = pictures
        drawn = png_of(DayChart("M&M", "", 5, candles(5)))

        async def draw(drawing: Drawing, name: str) -> Picture:
            pictures.drawings.append((name, drawing))
            return Picture(name, drawn)

        pictures.draw = draw  # type: ignore[method-assign]
        made.api.say(OWNER, "/chart M&M")
        (sent,) = await made.said(1)
        assert sent.photo is not None
        assert "M&M · 5 min candles" in sent.text
        made.api.press(OWNER, sent.message_id, "1m")
        await made.api.until(lambda: len(sent.versions) > 1)
        assert "1 min candles" in sent.text
        assert [drawing.minutes for _, drawing in pictures.drawings if isinstance(drawing, DayChart)] == [5, 1]


DAY_DATA = {
    "day": "2021-06-01", "trades": 6, "wins": 3, "losses": 3, "gross_paise": 9_000, "charges_paise": 1_000,
    "net_paise": 8_000, "signals": 9, "orders": 12, "best": {"symbol": "NSE:M&M", "net_paise": 900},
    "open_positions": [{}],
}  # fmt: skip


async def test_the_days_card_follows_the_report_to_those_who_are_told_of_it(tmp_path: Path) -> None:
    users = [
        User(user_id=1, chat_id=1, role="admin", name="a"), User(user_id=2, chat_id=2, role="viewer", name="b",
                                                                 blocked=True),
    ]  # fmt: skip
    outbox, pictures = Outbox(tmp_path / "outbox.jsonl"), Desk()
    pushes = Pushes(outbox, users, Notifications(), lambda: "PAPER")
    told: list[Reply] = []

    def beside(event: Event, said: Reply) -> None:
        told.append(said)
        pushes.beside(event, said)

    cards = DayCards(pictures, lambda: FakeEngine(6), beside, lambda: "9c1f")
    cards.on_event(Event(EventKind.TRADE, NOON))
    cards.on_event(Event(EventKind.DAY, NOON, data=DAY_DATA))
    async with asyncio.timeout(20):
        while not told:
            await asyncio.sleep(0)
            assert len(pictures.drawings) <= 1
    ((name, card),) = pictures.drawings
    assert isinstance(card, DayCard)
    assert (name, card.net, len(card.symbols)) == ("day-2021-06-01.png", 8_000, 2)
    assert ("Still open", "1", -1) in card.cells
    assert told[0].picture is not None
    assert told[0].to_plain().splitlines()[-1] == "Journal so far: 9c1f", "to be compared with /audit"
    assert [lane.chat_id for lane in outbox.lanes()] == [1]
    outbox.close()


async def test_a_card_that_cannot_be_drawn_costs_nobody_anything(tmp_path: Path) -> None:
    pictures, told = Desk(why="it failed"), list[Reply]()
    cards = DayCards(pictures, lambda: FakeEngine(6), lambda event, said: told.append(said))
    cards.on_event(Event(EventKind.DAY, NOON, data={"day": "2021-06-01"}))  # not even the sums
    cards.on_event(Event(EventKind.DAY, NOON, data=DAY_DATA))
    await asyncio.gather(*cards._tasks)
    assert len(pictures.drawings) == 1
    assert not told


def test_days_of_the_past_are_of_india() -> None:
    pictures, engine = Desk(), FakeEngine()
    engine.state = replace(engine.state, now_ns=NOON + 11 * 60 * MINUTE + 59 * MINUTE)
    say("/daily", pictures, engine)
    assert pictures.asked[0].until == date(2021, 6, 1).isoformat()
