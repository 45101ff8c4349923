"""Where prices come from: made up for any symbol and day, or played from files."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from otrade_bot.brokers.feeds import BarFile, TickFile, read_ticks, synthetic_day, synthetic_history
from otrade_bot.brokers.feeds.worth import option_price, strike_of
from otrade_bot.brokers.instruments import InstrumentStore, classify
from otrade_bot.brokers.paper import PaperBroker, PaperSettings
from otrade_bot.config.models import (
    BrokerConfig,
    ChargesConfig,
    Config,
    InstrumentOverride,
    MarketConfig,
    RiskConfig,
    SpecialDay,
    StrategyConfig,
    TelegramConfig,
    TradingConfig,
)
from otrade_bot.core.clock import MINUTE, SECOND, ManualClock, at_ist, ist_date
from otrade_bot.core.errors import DataException
from otrade_bot.core.model import InstrumentKind
from otrade_bot.core.session import day_session, segment_of
from otrade_bot.kernel.compile import Kernel
from otrade_bot.service.day import inputs, prices, stream_of
from otrade_bot.service.journal import DayJournal
from otrade_bot.service.prices import PriceSource, Replay, Simulated
from otrade_bot.service.warm import warm_up
from otrade_bot.strategies.loader import build_kernel, load_strategy
from otrade_bot.trading import setup
from otrade_bot.trading.engine import LiveTradingEngine

DAY = date(2026, 11, 20)
MUHURAT, TEST = date(2026, 11, 8), date(2026, 11, 15)
MARKET = MarketConfig(
    special_days={
        MUHURAT: SpecialDay(name="Muhurat", open="18:00", close="19:00"),
        TEST: SpecialDay(name="test", open="23:40", close="23:45"),
    }
)
SHARES = ("NSE:RELIANCE", "NSE:INFY", "NSE:HDFCBANK", "NSE:SBIN", "NSE:NOBODYKNOWSIT")
OTHERS = ("NSE:NIFTY 50", "NFO:NIFTY26NOVFUT", "NFO:NIFTY26NOV25500CE", "NFO:RELIANCE26NOV1400PE")
ALL = (*SHARES, *OTHERS, "NSE:DEMOALPHA", "NSE:DEMODELTA")
RECORDED = Path(__file__).parents[3] / "shared" / "data"


def same(a: TickFile | BarFile, b: TickFile | BarFile) -> bool:
    columns = "ts price volume" if isinstance(a, TickFile) else "ts_end open high low close volume"
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns.split())


def one(symbol: str, day: date = DAY, seed: int = 1) -> TickFile:
    (file,) = Simulated(seed, MARKET).ticks(day, [symbol])
    return file


# --- simulated ---
def test_a_symbol_s_day_depends_on_seed_day_and_symbol_alone() -> None:
    source = Simulated(1, MARKET)
    together = {f.symbol: f for f in source.ticks(DAY, ALL)}
    assert list(together) == list(ALL)
    for symbol in ALL:
        assert same(together[symbol], one(symbol))
        assert not same(together[symbol], one(symbol, seed=2))
    for symbol in (*SHARES, *OTHERS):
        before, after = together[symbol], one(symbol, DAY - timedelta(days=1))
        assert len(before) != len(after) or not np.array_equal(before.price, after.price)


@pytest.mark.parametrize("day", [date(2026, 9, 16), date(2021, 6, 1), DAY])
@pytest.mark.parametrize("seed", [1, 7])
def test_the_demo_s_stocks_have_the_demo_s_prices(day: date, seed: int) -> None:
    expected = synthetic_day(day, seed)
    found = Simulated(seed).ticks(day, [f.symbol for f in expected])
    assert all(same(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("day", [DAY, date(2021, 6, 1), MUHURAT, TEST])
def test_prices_come_within_the_day_s_own_hours_and_fill_them(day: date) -> None:
    calendar = MARKET.calendar()
    for f in Simulated(1, MARKET).ticks(day, ALL):
        known = InstrumentStore(day).build(f.symbol)
        session = day_session(day, segment_of(known.kind), known.closing_auction, calendar)
        assert session is not None
        length = session.continuous_end - session.open
        end = session.continuous_end if session.special else max(session.continuous_end, at_ist(day, 15, 30))
        assert session.open <= f.ts.min() < session.open + length // 50
        assert end - length // 50 < f.ts.max() < end
        assert len(f) >= length / SECOND / 2


@pytest.mark.parametrize("symbol", ["NSE:RELIANCE", "NSE:DEMOALPHA"])
@pytest.mark.parametrize("day", [MUHURAT, TEST])
def test_a_short_session_tells_the_whole_story(symbol: str, day: date) -> None:
    loud = DAY if "DEMO" in symbol else DAY - timedelta(days=1)
    regular, short = one(symbol, loud), one(symbol, day)
    for f in (regular, short):
        assert 1.05 < f.price.max() / f.price[0] < 1.12
        assert 0.6 < (f.ts[f.price.argmax()] - f.ts.min()) / np.ptp(f.ts) < 0.8


@pytest.mark.parametrize("day", [DAY, date(2021, 6, 1), TEST])
def test_prices_lie_on_the_exchange_s_grid_of_that_day(day: date) -> None:
    for f in Simulated(1, MARKET).ticks(day, ALL):
        tick = InstrumentStore(day).build(f.symbol, day, int(f.price[0])).tick
        assert not (f.price % tick).any()
        assert f.price.min() > 0
        assert f.price.dtype == f.volume.dtype == f.ts.dtype == np.int64


def test_a_price_near_the_edge_of_two_tick_bands_lies_on_both_grids() -> None:
    source, near = Simulated(1, history_days=1), []
    for n in range(400):
        symbol = f"NSE:EDGE{n}"
        (bars, *_) = source.history(DAY, [symbol])
        if any(0.985 < bars.close[-1] / edge < 1.015 for edge in (25_000, 100_000, 500_000)):
            near.append(symbol)
    assert len(near) > 3
    for f in source.ticks(DAY, near):
        for price in (f.price[0], f.price.min(), f.price.max()):
            if 0.99 < price / f.price[0] < 1.01:
                assert not (f.price % InstrumentStore(DAY).build(f.symbol, DAY, int(price)).tick).any()


def swing(file: TickFile) -> float:
    return float(np.ptp(file.price) / file.price[0])


#: Alternate days: on one every second share tells its story aloud, on the next one the others do.
EVEN = [date(2026, 11, d) for d in (16, 18, 20)]
ODD = [date(2026, 11, d) for d in (17, 19)]


def path(file: TickFile) -> np.ndarray[Any, Any]:
    """The day minute by minute, without its trend."""
    order = np.argsort(file.ts, kind="stable")
    minutes = at_ist(file.day, 9, 16) + MINUTE * np.arange(370)
    price = file.price[order][np.searchsorted(file.ts[order], minutes) - 1].astype(float)
    return price - np.linspace(price[0], price[-1], len(price))


def test_a_symbol_s_story_stays_with_it_and_its_neighbours_have_others() -> None:
    loud = {s: max((EVEN, ODD), key=lambda days: swing(one(s, days[0])))[:2] for s in SHARES[:4]}
    first, second = ({s: path(one(s, days[k])) for s, days in loud.items()} for k in (0, 1))
    for symbol, mine in first.items():
        alike = {other: np.corrcoef(mine, theirs)[0, 1] for other, theirs in second.items()}
        assert alike[symbol] > 0.9
        assert max(likeness for other, likeness in alike.items() if other != symbol) < 0.9
        assert not np.array_equal(mine, second[symbol])


@pytest.mark.parametrize("days", [EVEN, ODD])
def test_every_day_some_symbols_are_loud_and_others_quiet(days: list[date]) -> None:
    loud = {(swing(one("NSE:RELIANCE", day)) > 0.055, swing(one("NSE:INFY", day)) > 0.055) for day in days}
    assert loud in ({(True, False)}, {(False, True)})


@pytest.mark.parametrize("symbol", [*SHARES, *OTHERS[:2]])
def test_levels_are_stable_and_a_day_begins_near_where_the_last_one_ended(symbol: str) -> None:
    calendar, day, opens = MARKET.calendar(), date(2026, 1, 5), []
    last = one(symbol, day)
    for _ in range(15):
        day = calendar.next_trading_day(day)
        today = one(symbol, day)
        assert abs(today.price[0] / last.price[-1] - 1) < 0.03
        opens.append(int(today.price[0]))
        last = today
    far = one(symbol, date(2027, 3, 15))
    assert 0.7 < far.price[0] / np.mean(opens) < 1.4


@pytest.mark.parametrize("symbol", ALL)
@pytest.mark.parametrize("day", [DAY, MUHURAT])
def test_history_ends_where_the_day_begins_and_tells_of_trading_days_only(symbol: str, day: date) -> None:
    files = Simulated(1, MARKET).history(day, [symbol])
    today = one(symbol, day)
    for f in files:
        assert isinstance(f, BarFile)
        assert f.symbol == symbol
        assert (f.high >= np.maximum(f.open, f.close)).all()
        assert (f.low <= np.minimum(f.open, f.close)).all()
        assert f.low.min() > 0
    ends = np.concatenate([f.ts_end for f in files if isinstance(f, BarFile)])
    assert (np.diff(ends) > 0).all()
    days = {ist_date(int(end) - 1) for end in ends}
    assert len(days) == 40
    assert max(days) < day
    if "DEMO" not in symbol:
        assert all(MARKET.calendar().is_trading_day(d) for d in days)
    if classify(symbol)[0] is not InstrumentKind.OPTION:
        last = files[-1]
        assert isinstance(last, BarFile)
        assert abs(last.close[-1] / today.price[0] - 1) < 0.03


def test_yesterday_s_bars_are_those_of_the_day_that_was_played() -> None:
    """To the size of the noise, which the past has less of."""
    yesterday = DAY - timedelta(days=1)
    for symbol in ("NSE:RELIANCE", "NSE:INFY", "NSE:NIFTY 50"):
        (*_, bars) = Simulated(1, MARKET).history(DAY, [symbol])
        assert isinstance(bars, BarFile)
        f = one(symbol, yesterday)
        order = np.argsort(f.ts, kind="stable")
        closes = f.price[order][np.searchsorted(f.ts[order], bars.ts_end) - 1]
        there = [ist_date(int(end) - 1) == yesterday for end in bars.ts_end]
        assert np.abs(bars.close[there] / closes[there] - 1).max() < 0.012


def test_history_of_the_demo_s_stocks_ends_as_the_demo_s_own() -> None:
    own = synthetic_history(DAY, 1, days=40)[0]
    coarse, fine = Simulated(1).history(DAY, ["NSE:DEMOALPHA"])
    assert isinstance(coarse, BarFile)
    assert isinstance(fine, BarFile)
    np.testing.assert_array_equal(fine.close, own.close[-750:])
    assert coarse.high.max() == own.high[:-750].max()
    assert int(coarse.volume.sum() + fine.volume.sum()) == int(own.volume.sum())


def test_corrections_of_instruments_hold_for_made_up_prices_too() -> None:
    market = MarketConfig(instruments={"NSE:RELIANCE": InstrumentOverride(tick_size=Decimal("0.25"))})
    source = Simulated(1, market)
    (file,), (coarse, fine) = source.ticks(DAY, ["NSE:RELIANCE"]), source.history(DAY, ["NSE:RELIANCE"])
    assert isinstance(coarse, BarFile)
    assert isinstance(fine, BarFile)
    assert not any((prices % 25).any() for prices in (file.price, coarse.close, fine.high))


def test_no_session_no_prices() -> None:
    with pytest.raises(DataException, match="NSE:RELIANCE: no session on 2026-11-21: Saturday"):
        Simulated().ticks(date(2026, 11, 21), ["NSE:RELIANCE"])


def test_an_index_has_no_volume_and_a_derivative_s_is_in_lots() -> None:
    assert not one("NSE:NIFTY 50").volume.any()
    future = one("NFO:NIFTY26NOVFUT")
    assert future.volume.max() > 0
    assert not (future.volume % 65).any()


def test_derivatives_follow_what_they_are_derived_from() -> None:
    index, future, call = (one(s) for s in ("NSE:NIFTY 50", "NFO:NIFTY26NOVFUT", "NFO:NIFTY26NOV25500CE"))
    put, moments = one("NFO:NIFTY26NOV25500PE"), at_ist(DAY, 9, 20) + 5 * MINUTE * np.arange(72)

    def at(file: TickFile) -> np.ndarray[Any, Any]:
        order = np.argsort(file.ts, kind="stable")
        return file.price[order][np.searchsorted(file.ts[order], moments)].astype(float)

    spot = at(index)
    assert np.corrcoef(spot, at(future))[0, 1] > 0.95
    assert (np.abs(at(future) / spot - 1) < 0.01).all()
    assert np.corrcoef(spot, at(call))[0, 1] > 0.95
    assert np.corrcoef(spot, at(put))[0, 1] < -0.8
    assert (np.abs(at(call) - at(put) - (spot - 2_550_000)) < 0.005 * spot).all()  # put-call parity


def test_an_option_is_worth_what_its_name_says() -> None:
    call, put, dated = (strike_of(f"NFO:NIFTY26{rest}") for rest in ("NOV25500CE", "NOV25500PE", "N0326000CE"))
    assert call is not None
    assert put is not None
    assert dated is not None
    assert (call.paise, call.right, call.last_day) == (2_550_000, 1, date(2026, 11, 24))
    assert (put.right, dated.last_day) == (-1, date(2026, 11, 3))
    may = strike_of("NFO:NIFTY25MAY25000CE")
    assert may is not None
    assert may.last_day == date(2025, 5, 29)  # a Thursday then
    assert strike_of("NFO:NIFTY26NOVFUT") is None
    spot, start = np.array([2_400_000.0, 2_550_000.0, 2_700_000.0]), np.zeros(3)
    values = option_price(call, spot, InstrumentKind.INDEX, date(2026, 10, 26), start)
    assert (np.diff(values) > 0).all()
    assert values[1] == pytest.approx(0.4 * 0.14 * np.sqrt(30 / 365) * 2_550_000, rel=0.01)
    over = option_price(call, spot, InstrumentKind.INDEX, date(2026, 12, 1), start)
    assert over[0] == 5.0
    assert over[2] == pytest.approx(150_000, rel=0.01)


def engine_of(kernel: Kernel, folder: Path, timeframe: Any) -> tuple[LiveTradingEngine, PaperBroker]:
    given = {"momentum_ladder": ("NSE:RELIANCE", "NSE:DEMOBRAVO"), "ema_crossover": ("NFO:NIFTY26NOVFUT",)}
    trading = TradingConfig(
        strategies=tuple(StrategyConfig(name=n, instruments=s, timeframe=timeframe) for n, s in given.items())
    )
    config = Config(trading, RiskConfig(), BrokerConfig(), MARKET, ChargesConfig(), TelegramConfig())
    strategies = setup.load_strategies(config, None)
    store, clock = InstrumentStore(DAY), ManualClock(at_ist(DAY, 9))
    broker = PaperBroker(folder / "paper.jsonl", clock, store.get, lambda *_: "", PaperSettings())
    engine = LiveTradingEngine(
        config=config, kernel=kernel, rows=setup.build_rows(config, strategies, store.get), strategies=strategies,
        broker=broker, clock=clock, calendar=MARKET.calendar(), journal=DayJournal(folder, clock),
    )  # fmt: skip
    return engine, broker


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return build_kernel([load_strategy("ema_crossover"), load_strategy("momentum_ladder")])


@pytest.mark.parametrize("timeframe", ["tick", "1m", "3m", "5m", "15m", "30m", "60m"])
def test_every_shipped_strategy_is_warm_at_the_open(timeframe: Any, tmp_path: Path, kernel: Kernel) -> None:
    engine, broker = engine_of(kernel, tmp_path, timeframe)
    try:
        warm_up(engine, Simulated(1, MARKET).history(DAY, list(engine.by_symbol)), DAY)
        assert engine.params["warm"].tolist() == [200, 200, 22]
        assert (engine.state["bars"] >= engine.params["warm"]).all()
    finally:
        broker.close()


# --- replay ---
def ticks(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("timestamp,ltp,volume\n" + "".join(f"{line}\n" for line in lines))
    return path


def bars(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("date,time,open,high,low,close,volume\n" + "".join(f"{line}\n" for line in lines))
    return path


FIRST, SECOND_DAY = date(2021, 5, 31), date(2021, 6, 1)


def two_days(folder: Path) -> Path:
    return ticks(
        folder, "RELIANCE.csv",
        "2021-05-31 09:15:01,2100.0,10", "2021-05-31 15:29:00,2140.0,900",
        "2021-06-01 09:15:01,2150.0,20", "nonsense", "2021-06-01 09:15:02,2151.0,30", "2021-06-01 09:15:03,2152.0,40",
    )  # fmt: skip


def test_a_file_of_several_days_gives_each_of_them_and_the_earlier_ones_as_history(tmp_path: Path) -> None:
    source: PriceSource = Replay([two_days(tmp_path)])
    assert (source.name, list(source.days())) == ("replay", [FIRST, SECOND_DAY])
    (file,) = source.ticks(SECOND_DAY, ["NSE:RELIANCE"])
    assert file.price.tolist() == [215_000, 215_100, 215_200]
    assert (file.lines, dict(file.dropped)) == (4, {"bad_columns": 1})
    (before,) = source.history(SECOND_DAY, ["NSE:RELIANCE"])
    assert isinstance(before, TickFile)
    assert (before.day, before.price.tolist()) == (FIRST, [210_000, 214_000])
    assert source.history(FIRST, ["NSE:RELIANCE"]) == []


def test_a_day_in_a_file_of_its_own_joins_the_others_and_one_held_twice_is_refused(tmp_path: Path) -> None:
    path, other = two_days(tmp_path), ticks(tmp_path, "RELIANCE_2021-06-02.csv", "2021-06-02 09:15:01,2160.0,10")
    assert len(Replay([path, other]).days()) == 3
    twice = ticks(tmp_path, "reliance_2021.csv", "2021-06-01 09:20:00,2160.0,10")
    with pytest.raises(DataException, match=r"two files hold NSE:RELIANCE on 2021-06-01: .*RELIANCE.csv, .*2021.csv"):
        Replay([path, twice])


def test_bars_beside_the_ticks_are_history_where_there_are_no_ticks(tmp_path: Path) -> None:
    beside = bars(
        tmp_path, "RELIANCE_1min.csv",
        "20210528,09:16,2090,2095,2088,2093,100", "20210528,09:17,2093,2094,2090,2091,80",
        "20210528,09:18,2091,2094,2090,2092,70", "20210528,09:19,2092,2094,2090,2091,90",
        "20210531,09:16,1,1,1,1,1", "20210531,09:17,1,1,1,1,1", "20210601,09:16,1,1,1,1,1",
    )  # fmt: skip
    source = Replay([two_days(tmp_path), beside])
    first, second = source.history(SECOND_DAY, ["NSE:RELIANCE"])
    assert isinstance(first, BarFile)
    assert first.close.tolist() == [209_300, 209_100, 209_200, 209_100]
    assert (first.day, second.day) == (date(2021, 5, 28), FIRST)
    assert source.days() == [FIRST, SECOND_DAY]


def test_a_misread_date_makes_no_day(tmp_path: Path) -> None:
    lines = [f"2021-06-01 09:{15 + k // 60}:{k % 60:02d},2150.0,{k}" for k in range(300)]
    path = ticks(tmp_path, "RELIANCE.csv", "2012-06-01 09:15:00,2150.0,1", *lines, "2091-06-01 09:15:00,2150.0,1")
    source = Replay([path])
    assert source.days() == [SECOND_DAY]
    files = source.ticks(SECOND_DAY, ["NSE:RELIANCE"])
    assert source.history(SECOND_DAY, ["NSE:RELIANCE"]) == []
    stream, read, unread = stream_of(files, SECOND_DAY, rows("NSE:RELIANCE"))
    assert (len(stream), read, unread["other_day"]) == (300, 302, 2)


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [("NIFTY50", "NSE:NIFTY 50"), ("nifty_bank", "NSE:NIFTY BANK"), ("NIFTY21JUNFUT", "NFO:NIFTY21JUNFUT")],
)
def test_a_stem_is_known_by_the_name_that_the_settings_give_it(tmp_path: Path, stem: str, symbol: str) -> None:
    source = Replay([ticks(tmp_path, f"{stem}.csv", "2021-06-01 09:15:01,15600.0,0")])
    assert [f.symbol for f in source.ticks(SECOND_DAY, [symbol, "NSE:INFY"])] == [symbol]


def test_what_cannot_be_played_is_said_in_one_line(tmp_path: Path) -> None:
    path = two_days(tmp_path)
    with pytest.raises(DataException, match=r"no prices on 2021-06-02; RELIANCE.csv hold 2021-05-31, 2021-06-01$"):
        Replay([path]).ticks(date(2021, 6, 2), ["NSE:RELIANCE"])
    with pytest.raises(DataException, match=r"none of NSE:INFY, NSE:TCS has prices on 2021-06-01; .* hold NSE:REL"):
        Replay([path]).ticks(SECOND_DAY, ["NSE:INFY", "NSE:TCS"])
    with pytest.raises(DataException, match=r"nowhere.csv: no such file"):
        Replay([tmp_path / "nowhere.csv"])
    with pytest.raises(DataException, match="no files are named"):
        Replay([])
    only = bars(tmp_path, "INFY.csv", "20210528,09:16,2090,2095,2088,2093,100")
    with pytest.raises(DataException, match=r"only bars in INFY.csv"):
        Replay([only])


def test_sources_are_told_apart_by_what_they_play(tmp_path: Path) -> None:
    other = ticks(tmp_path, "INFY.csv", "2021-06-01 09:15:01,1400.0,0")
    path = two_days(tmp_path)
    names = {s.identity for s in (Simulated(1), Simulated(2), Replay([path]), Replay([other]), Replay([path, other]))}
    assert len(names) == 5
    assert Replay([path]).identity == Replay([path]).identity


def test_a_recorded_day_is_played_as_it_is() -> None:
    path = RECORDED / "ticks_2021-06-01" / "RELIANCE.csv"
    if not path.exists():
        pytest.skip("the recorded day is not here")
    (file,) = Replay([path]).ticks(SECOND_DAY, ["NSE:RELIANCE"])
    assert same(file, read_ticks(path))


# --- the stream ---
def rows(*symbols: str) -> Any:
    return SimpleNamespace(by_symbol={symbol: row for row, symbol in enumerate(symbols)})


def test_every_price_has_a_moment_of_its_own(tmp_path: Path) -> None:
    stamp = "2021-06-01 09:15:01.25"
    files = [
        read_ticks(ticks(tmp_path, f"{name}.csv", f"{stamp},100.0,1", f"{stamp},101.0,2", f"{stamp},102.0,3"))
        for name in ("A", "B")
    ]
    stream, *_ = stream_of(files, SECOND_DAY, rows("NSE:A", "NSE:B"))
    assert len(set(stream.ts.tolist())) == 6
    for row in (0, 1):
        assert stream.price[stream.row == row].tolist() == [10_000, 10_100, 10_200]
    assert int(np.ptp(stream.ts)) < 1000


def test_what_is_past_and_what_is_to_come_make_the_day_wherever_it_is_cut(tmp_path: Path) -> None:
    """Also where a line comes late: the moments of a stream do not only grow."""
    seconds = [1, 2, 3, 10, 11, 12, 4, 13, 5, 14, 20]
    path = ticks(tmp_path, "A.csv", *(f"2021-06-01 09:15:{s:02d},{100 + k}.0,{k}" for k, s in enumerate(seconds)))
    stream, *_ = stream_of([read_ticks(path)], SECOND_DAY, rows("NSE:A"))
    whole = list(prices(stream))
    assert len(whole) == len(seconds)
    for cut in (0, *stream.ts.tolist()):
        past = list(takewhile(lambda step, cut=cut: step[0] <= cut, inputs(stream, ())))  # type: ignore[misc]
        assert past + list(prices(stream, cut)) == whole
