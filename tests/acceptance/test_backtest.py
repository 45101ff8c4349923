"""A backtest does what a day on paper does, knows nothing of the future, and its numbers add up."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from backtest_room import DAYS, market_of, minutes, outcome_of, saved, settings
from test_recorded_day import KEYS, TRADE_KEYS, Cli

from otrade_bot.brokers.feeds import TickFile, synthetic_day, write_ticks
from otrade_bot.core.clock import MINUTE, at_ist, from_iso, ist_date
from otrade_bot.core.model import Product
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.backtest import Friction, Outcome
from otrade_bot.research.backtest_report import report
from otrade_bot.research.data import load_files
from otrade_bot.strategies.loader import TradingStrategy

Shipped = tuple[TradingStrategy, ...]
DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded prices are not beside the project")
SAME = (
    "day", "trades", "gross", "charges", "net", "signals", "ticks", "dropped", "open_positions", "lines", "refusals",
)  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def part(file: TickFile, ticks: int) -> TickFile:
    return TickFile(file.symbol, file.source, file.ts[:ticks], file.price[:ticks], file.volume[:ticks], ticks)


def same(demo: dict[str, Any], found: dict[str, Any]) -> None:
    """All that both reports tell."""
    for key in SAME:
        assert found[key] == demo[key], key
    # A stop that has been moved often is an order anew at a broker.
    assert demo["orders"] == found["orders"] or (found["strategy"] == "momentum_ladder" and found["orders"])


# --- the same as on paper ---


@pytest.mark.parametrize("words", [(), ("--strategy", "momentum_ladder", "--timeframe", "1m")], ids=["ema", "ladder"])
def test_a_day_of_ticks_is_the_demos_day(cli: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    paths = []
    for file in synthetic_day(DAYS[1], 3)[:2]:
        paths.append(tmp_path / f"{file.symbol.removeprefix('NSE:')}.csv")
        write_ticks(file, paths[-1])
    demo = cli("demo", "--ticks", *paths, "--speed", "max", "--no-input", "--json", *words).report
    found = cli("backtest", *paths, "--json", *words).report
    same(demo, found)
    assert found["trades"]


@needs_data
def test_a_recorded_day_is_the_demos_day(cli: Cli) -> None:
    paths = [DATA / "ticks_2021-06-01" / f"{name}.csv" for name in ("RELIANCE", "NIFTY50")]
    demo = cli("demo", "--ticks", *paths, "--speed", "max", "--no-input", "--json").report
    same(demo, cli("backtest", *paths, "--json").report)


def test_earlier_days_warm_up_alike_as_history_or_in_the_file(cli: Cli, tmp_path: Path) -> None:
    lines = {}
    for day, seed in ((DAYS[0], 5), (DAYS[1], 6)):
        path = tmp_path / f"DEMOECHO_{day}.csv"
        file = next(f for f in synthetic_day(day, seed) if f.symbol == "NSE:DEMOECHO")
        write_ticks(part(file, 9000), path)
        lines[day] = path
    words = ("--timeframe", "1m", "--json")
    demo = cli(
        "demo", "--ticks", lines[DAYS[1]], "--history", lines[DAYS[0]], "--speed", "max", "--no-input", *words
    ).report
    by_history = cli("backtest", lines[DAYS[1]], "--history", lines[DAYS[0]], *words).report
    by_file = cli("backtest", *lines.values(), "--from", DAYS[1], *words).report
    assert demo["trades"] == by_history["trades"] == by_file["trades"] != []
    assert by_file["warmed_bars"] == by_history["warmed_bars"] > 50


# --- nothing of the future ---


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("friction", [Friction(), Friction(400_000_000, 300, 100_000)], ids=["plain", "friction"])
def test_what_comes_later_changes_no_trade_before_it(
    seed: int, friction: Friction, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """Bars cut off at T, and bars that go elsewhere after T: trades closed before T are the same."""
    lines = minutes(seed)
    params = {"fast": 3, "slow": 8, "stop_percent": 0.3, "target_percent": 0.4}
    whole = outcome_of(market_of(tmp_path, ("ABC", lines)), kernel, shipped, params=params, friction=friction)
    assert len(whole.trades) > 10
    compared = 0
    for cut in (400, 700, 1000):
        moment = from_iso(lines[cut].split(",")[0])
        other = [lines[0], *minutes(seed + 100)[cut:]]
        for name, rest in (("cut", []), ("other", other[1:])):
            folder = tmp_path / f"{name}{cut}"
            folder.mkdir()
            less = outcome_of(
                market_of(folder, ("ABC", [*lines[:cut], *rest])), kernel, shipped, params=params, friction=friction
            )
            before = [trade for trade in whole.trades if trade.exit_ns < moment]
            assert [trade for trade in less.trades if trade.exit_ns < moment] == before
            compared += len(before)
    assert compared > 10


@pytest.mark.parametrize("seed", [1, 2])
def test_ticks_that_come_later_change_no_trade_before_them(
    seed: int, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    files = [part(file, 4000) for file in synthetic_day(DAYS[1], seed)[2:4]]
    paths = [tmp_path / f"{file.symbol.removeprefix('NSE:')}.csv" for file in files]
    for file, path in zip(files, paths, strict=True):
        write_ticks(file, path)
    whole = outcome_of(load_files(paths), kernel, shipped, timeframe="tick")
    moment = int(files[0].ts[2500])
    for file, path in zip(files, paths, strict=True):
        write_ticks(part(file, int((file.ts < moment).sum())), path)
    less = outcome_of(load_files(paths), kernel, shipped, timeframe="tick")
    before = [trade for trade in whole.trades if trade.exit_ns < moment]
    assert before
    assert [trade for trade in less.trades if trade.exit_ns < moment] == before


# --- bars ---


def test_within_a_bar_the_stop_comes_before_the_target(kernel: Kernel, shipped: Shipped, tmp_path: Path) -> None:
    """A bar that reaches both: the position is stopped, never the other way round."""
    lines = minutes(1, DAYS[:1])
    params = {"fast": 3, "slow": 8, "stop_percent": 0.2, "target_percent": 0.2}
    calm = outcome_of(market_of(tmp_path, ("ABC", lines)), kernel, shipped, params=params)
    first = calm.trades[0]
    at = (first.entry_ns - at_ist(DAYS[0], 9, 15)) // MINUTE + 2  # the bar after the one of the entry
    stamp, *_ = lines[at].split(",")
    price = first.entry_value / first.quantity / 100
    lines[at] = f"{stamp},{price:.2f},{price * 1.01:.2f},{price * 0.99:.2f},{price:.2f},50"
    wild = outcome_of(market_of(tmp_path, ("ABC", lines)), kernel, shipped, params=params).trades[0]
    assert (wild.entry_ns, wild.entry_value) == (first.entry_ns, first.entry_value)
    assert str(wild.reason) == "stop"
    assert wild.gross < 0


def test_orders_wait_for_the_volume_that_bars_have(kernel: Kernel, shipped: Shipped, tmp_path: Path) -> None:
    market = market_of(tmp_path, ("ABC", minutes(2)))
    given = {"params": {"fast": 3, "slow": 8}, "per_position": 90_000}
    whole, parts = (
        outcome_of(market, kernel, shipped, friction=Friction(participation_ppm=ppm), **given)  # type: ignore[arg-type]
        for ppm in (1_000_000, 200_000)
    )
    assert parts.counts["fills"] > parts.counts["orders"]
    assert max(t.quantity for t in parts.trades) <= max(t.quantity for t in whole.trades)
    assert sum(t.quantity for t in parts.trades) < sum(t.quantity for t in whole.trades)


def test_what_the_gate_finds_too_large_is_refused_and_told(kernel: Kernel, shipped: Shipped, tmp_path: Path) -> None:
    found = outcome_of(market_of(tmp_path, ("ABC", minutes(2))), kernel, shipped, settings(max_order_value=100))
    assert not found.trades
    told = report(found)
    assert told["refusals"]["value"] > 0
    assert told["orders"] == 0


# --- nights ---


def test_delivery_is_kept_over_night_and_what_is_open_at_the_end_is_valued(
    kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    found = outcome_of(
        market_of(tmp_path, ("ABC", minutes(3)), ("XYZ", minutes(4))), kernel, shipped, product=Product.CNC,
        params={"stop_percent": 3.0, "target_percent": 30.0, "fast": 3, "slow": 8, "short": False},
    )  # fmt: skip
    told = report(found)
    assert told["open_positions"]
    last = {one.symbol: int(one.close[-1]) for one in found.market.prices}
    for one, held in zip(told["open_positions"], found.held, strict=True):
        assert held.ltp == last[held.symbol]
        assert one["unrealised"] == pytest.approx(one["quantity"] * (one["ltp"] - one["average"]), abs=0.01)
    kept = [(t.entry_ns, t.exit_ns) for t in found.trades] + [(h.entry_ns, found.days[-1].end) for h in found.held]
    assert any(ist_date(begun) < ist_date(ended) for begun, ended in kept)
    assert any("open at the end" in note for note in told["notes"])
    assert adds_up(found)


def test_an_intraday_position_that_could_not_be_sold_is_closed_by_the_broker(
    kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    """No volume in the afternoon: the square-off finds no buyer, and nothing is carried into the next day."""
    lines = minutes(5)
    for at, line in enumerate(lines[1:], start=1):
        if line[11:16] >= "12:30":
            lines[at] = line.rsplit(",", 1)[0] + ",0"
    found = outcome_of(
        market_of(tmp_path, ("ABC", lines)), kernel, shipped,
        params={"stop_percent": 5.0, "target_percent": 50.0, "fast": 3, "slow": 8},
    )  # fmt: skip
    late = [trade for trade in found.trades if trade.exit_ns in {day.end for day in found.days}]
    assert late
    assert {str(trade.reason) for trade in late} == {"square_off"}
    assert all(trade.exit_ns - trade.entry_ns < 400 * MINUTE for trade in found.trades)
    assert not found.held
    assert adds_up(found)


# --- numbers ---


def adds_up(found: Outcome) -> bool:
    """Days, trades and what is open: one sum, to the paisa."""
    assert sum(day.net for day in found.days) == sum(t.net for t in found.trades) + sum(h.net for h in found.held)
    assert sum(day.trades for day in found.days) == len(found.trades)
    return True


@pytest.mark.parametrize("strategy", ["ema_crossover", "momentum_ladder"])
def test_every_split_of_the_report_adds_up_to_its_totals(
    strategy: str, kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    market = market_of(tmp_path, ("ABC", minutes(7)), ("XYZ", minutes(8, price=90)))
    found = outcome_of(market, kernel, shipped, strategy=strategy, timeframe="3m")
    told = report(found)
    assert told.keys() >= KEYS
    assert len(told["trades"]) > 4
    assert all(trade.keys() >= TRADE_KEYS for trade in told["trades"])
    assert adds_up(found)
    for split in ("symbol", "exit_reason", "hour", "weekday", "month", "side", "rung"):
        groups = told[f"by_{split}"]
        assert sum(group["trades"] for group in groups) == len(told["trades"])
        for name in ("gross", "charges", "net"):
            assert round(sum(round(100 * group[name]) for group in groups)) == round(100 * told[name]), (split, name)
    assert sum(round(100 * part) for part in told["charges_by_part"].values()) == round(100 * told["charges"])
    assert round(100 * told["by_day"][-1]["equity"]) == found.capital + round(100 * told["net"])
    assert told["final_equity"] == told["by_day"][-1]["equity"]
    assert told["max_drawdown"]["amount"] >= max(0, -told["net"])
    assert 0 < told["exposure"] < 100


def test_the_report_says_how_bars_are_walked_and_what_is_not_known(
    kernel: Kernel, shipped: Shipped, tmp_path: Path
) -> None:
    saturday = [line.replace("2026-09-15", "2026-09-12") for line in minutes(9, DAYS[:1])[1:]]
    found = outcome_of(market_of(tmp_path, ("ABC", [*minutes(9), *saturday])), kernel, shipped)
    told = report(found)
    said = " ".join(told["notes"])
    assert "a stop goes off before a target of the same bar" in said
    assert "1 day with prices is no trading day and was left out: 2026-09-12 (Saturday)" in said
    assert told["closed_days"] == {"2026-09-12": "Saturday"}
    assert told["dropped"]["no_session"] == 330


def test_two_runs_are_the_same_but_for_the_clock_on_the_wall(cli: Cli, tmp_path: Path) -> None:
    path = saved(tmp_path, "ABC", minutes(11))
    first, second = (cli("backtest", path, "--json").report for _ in range(2))
    assert first.pop("wall") != second.pop("wall")
    assert first == second


# --- files and refusals ---


def test_pictures_page_and_trades_are_written(cli: Cli, tmp_path: Path) -> None:
    paths = [saved(tmp_path, name, minutes(seed)) for name, seed in (("A&B", 12), ("XYZ", 13))]
    plot, page, table = (tmp_path / name for name in ("out.png", "out.html", "out.csv"))
    found = cli("backtest", *paths, "--json", "--plot", plot, "--html", page, "--trades", table).report
    assert plot.read_bytes().startswith(b"\x89PNG\r\n")
    text = page.read_text(encoding="utf-8")
    assert "NSE:A&amp;B" in text
    assert text.count('src="data:image/png;base64,') >= 3
    assert "http" not in text.replace("data:image", "")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trade_id"] for row in rows] == [trade["trade_id"] for trade in found["trades"]]
    assert [float(row["net"]) for row in rows] == [trade["net"] for trade in found["trades"]]


def test_the_text_has_the_result_and_nothing_on_standard_error(cli: Cli, tmp_path: Path) -> None:
    path = saved(tmp_path, "ABC", minutes(14))
    told = cli("backtest", path).out
    for words in ("profit factor", "max drawdown", "Sharpe", "hour of entry", "Charges: brokerage", "NSE:ABC"):
        assert words in told
    assert cli("backtest", path).err == ""


def test_a_strategy_of_ones_own_and_parameters_are_taken(cli: Cli, tmp_path: Path) -> None:
    path = saved(tmp_path, "ABC", minutes(15))
    loose = cli("backtest", path, "--json", "--param", "fast=3", "--param", "slow=8", "--param", "short=false").report
    assert (loose["params"]["fast"], loose["params"]["short"]) == (3, False)
    assert {trade["side"] for trade in loose["trades"]} == {"BUY"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none.csv",), "none.csv: no such file"),
        (("ABC.csv", "--strategy", "none"), "none"),
        (("ABC.csv", "--param", "fast=0"), "fast"),
        (("ABC.csv", "--param", "fst=3"), "fst"),
        (("ABC.csv", "--timeframe", "tick"), "--timeframe: the files hold bars of 1 min (got 'tick'); allowed: 1m, 3m"),
        (("ABC.csv", "--from", "2027-01-01"), "no trading day from 2027-01-01"),
        (("ABC.csv", "--plot", "nowhere/out.png"), "nowhere/out.png"),
        (("ABC.csv", "--participation", "2"), "participation"),
        (("ABC.csv", "--capital", "-5"), "capital"),
        (("ABC.csv", "--param", "fast"), "KEY=VALUE"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_2(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    saved(tmp_path, "ABC", minutes(1, DAYS[:1], 30))
    done = cli("backtest", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert told in done.err


@needs_data
def test_recorded_bars_trade_and_an_index_only_as_its_future(cli: Cli) -> None:
    wipro = cli("backtest", DATA / "ohlc_1min" / "WIPRO_2015-06_1min.csv", "--timeframe", "5m", "--json").report
    assert (wipro["sessions"], len(wipro["by_day"])) == (22, 22)
    assert len(wipro["trades"]) > 10
    nifty = DATA / "ohlc_1min" / "NIFTY_2016Q2_1min.csv"
    watched = cli("backtest", nifty, "--json").report
    assert watched["trades"] == []
    assert any("an index, only watched" in note for note in watched["notes"])
    future = cli("backtest", nifty, "--as-future", "--per-position", "20000", "--timeframe", "15m", "--json").report
    assert future["trades"]
    assert json.dumps(future)
    assert date.fromisoformat(future["day"]) == date(2016, 4, 1)
