"""The demo as a person starts it, on recorded prices and on files that are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.brokers.feeds import TickFile, synthetic_day, write_ticks
from otrade_bot.core.clock import from_iso, to_ist

ROOT = Path(__file__).parents[2]
TICKS = ROOT.parent / "shared" / "data" / "ticks_2021-06-01"
KEYS = {
    "day", "trades", "gross", "charges", "net", "signals", "orders", "ticks", "dropped", "open_positions",
}  # fmt: skip
TRADE_KEYS = {
    "symbol", "side", "rung", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "exit_reason",
    "gross", "charges", "net",
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        found: dict[str, Any] = json.loads(self.out)  # JSON alone
        return found


class Cli:
    """The command line in a process of its own, with a state folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: object, state: str = "state") -> Ran:
        env = {k: v for k, v in os.environ.items() if not k.startswith("OTRADE_") or k == "OTRADE_CACHE_DIR"}
        env |= {"OTRADE_STATE_DIR": str(self.home / state), "OTRADE_CONFIG_DIR": str(self.home / "config")}
        env |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "otrade_bot", *map(str, words)], env=env, cwd=self.home, text=True,
            capture_output=True, timeout=200, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def demo(self, files: Sequence[Path], *more: object, state: str = "state") -> Ran:
        speed = () if "--speed" in more else ("--speed", "max")
        return self("demo", "--ticks", *files, *speed, "--no-input", "--json", *more, state=state)

    def lines(self, day: str, state: str = "state") -> list[dict[str, Any]]:
        path = self.home / state / "journal" / f"{day}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@dataclass(frozen=True)
class Recording:
    """Files of a day, and by when intraday positions must be closed there."""

    files: tuple[Path, ...]
    day: str
    entries_until: str
    flat_by: str


@pytest.fixture(scope="module", params=["2021", "renamed", "saturday"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    if request.param == "2021":
        if not TICKS.is_dir():
            pytest.skip("the recorded prices are not beside the project")
        return Recording(tuple(sorted(TICKS.glob("*.csv"))), "2021-06-01", "15:00", "15:11")
    folder = tmp_path_factory.mktemp("recording")
    day = date(2019, 3, 12) if request.param == "renamed" else date(2022, 8, 6)
    names = ("QWERTY", "NIFTY_BANK") if request.param == "renamed" else ("TCS", "A-B")
    found = []
    for name, ticks in zip(names, synthetic_day(day, 5), strict=False):
        found.append(folder / f"{name}.csv")
        write_ticks(ticks, found[-1])
    return Recording(tuple(found), day.isoformat(), "15:00", "15:11")


def without_wall(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in ("wall", "journal")}


def wall_time(text: str) -> str:
    assert text.endswith("+05:30"), text
    return to_ist(from_iso(text)).strftime("%H:%M:%S")


@pytest.mark.parametrize("more", [(), ("--strategy", "momentum_ladder", "--timeframe", "1m")], ids=["ema", "ladder"])
def test_a_day_keeps_its_promises(recording: Recording, more: tuple[str, ...], cli: Cli) -> None:
    report = cli.demo(recording.files, *more).report
    assert report.keys() >= KEYS
    assert report["day"] == recording.day
    lines = sum(len(path.read_text().splitlines()) - 1 for path in recording.files)
    assert report["ticks"] + sum(report["dropped"].values()) == lines
    assert report["open_positions"] == []
    assert report["trades"], "a day without trades shows nothing"
    for trade in report["trades"]:
        assert trade.keys() >= TRADE_KEYS
        assert "NIFTY" not in trade["symbol"], "an index can only be watched"
        assert "09:15:00" <= wall_time(trade["entry_time"]) < recording.entries_until
        assert wall_time(trade["entry_time"]) <= wall_time(trade["exit_time"]) < recording.flat_by
    totals_agree(cli, report)
    again = cli.demo(recording.files, *more, state="other").report
    assert without_wall(again) == without_wall(report)


def totals_agree(cli: Cli, report: dict[str, Any]) -> None:
    """Journal, report of the run and the ``report`` command, to the paisa."""
    trades = [line for line in cli.lines(report["day"]) if line["kind"] == "trade"]
    assert len(trades) == len(report["trades"])
    assert len({line["trade_id"] for line in trades}) == len(trades)
    told = cli("report", "--day", report["day"], "--json").report
    for key in ("gross", "charges", "net"):
        paise = sum(line[f"{key}_paise"] for line in trades)
        assert round(report[key] * 100) == paise
        assert round(sum(trade[key] for trade in report["trades"]) * 100) == paise
        assert round(told[key] * 100) == paise
    assert told == {key: value for key, value in report.items() if key in told}


def test_speed_changes_nothing_but_the_time_it_takes(cli: Cli, tmp_path: Path) -> None:
    """Some minutes at 3000 times the market's pace, and the rest of the day's minutes."""
    whole = synthetic_day(date(2026, 9, 16), 3)[2]
    path = tmp_path / "PACED.csv"
    write_ticks(part(whole, 400), path)
    fast = cli.demo([path]).report
    paced = cli.demo([path], "--speed", "3000", state="other").report
    assert fast["trades"]
    assert paced["wall"]["seconds"] > fast["wall"]["seconds"] + 4
    assert without_wall(paced) == without_wall(fast)


def part(file: TickFile, ticks: int) -> TickFile:
    columns = (column[:ticks] for column in (file.ts, file.price, file.volume))
    return TickFile(file.symbol, file.source, *columns, lines=ticks)


def test_dirt_is_counted_and_costs_nothing(cli: Cli, tmp_path: Path) -> None:
    """Clocks that jump, lines of other days, and lines that are none."""
    clean = replace(synthetic_day(date(2020, 2, 4), 2)[2], symbol="NSE:DIRTY")
    path = tmp_path / "DIRTY.csv"
    write_ticks(clean, path)
    without = cli.demo([path]).report
    lines = path.read_text().splitlines()
    dirt = [
        "2020-02-04T23:59:59+05:30,100.00,10", "2031-01-01T10:00:00+05:30,100.00,10", "2020-02-03T10:00:00,100,10",
        "2020-02-05T10:00:00,100.00,10", "rubbish", "a,b,c", "2020-02-04T10:00:00,NaN,10", ",,",
        "2020-02-04T10:00:00,-5,10", "2020-02-04T10:00:00,100.00,-1", "2020-02-04T10:00:00,inf,5", '"', "é\x00,1,2",
        "2020-02-04T10:00:00,1e300,5", "2020-02-04 25:61:00,100,5", "2020-02-04T09:15:01,100.00,5",
    ]  # fmt: skip
    for i, line in enumerate(dirt):
        lines.insert(300 * (i + 1), line)
    path.write_text("\n".join(lines) + "\n")
    report = cli.demo([path], state="other").report
    assert report["trades"] == without["trades"]
    assert sum(report["dropped"].values()) == sum(without["dropped"].values()) + len(dirt)
    assert report["ticks"] == without["ticks"]
    assert report["dropped"]["other_day"] >= 3


BAD = {
    "binary": (b"\x7fELF\x00\x01\x02" * 100, "binary"),
    "empty": (b"", "empty"),
    "header": (b"timestamp,ltp,volume\n", "no usable line"),
    "column": (b"timestamp,ltp\n2021-06-01T10:00:00,5\n", "volume"),
    "garbage": (b"timestamp,ltp,volume\nx,y,z\n", "no usable line"),
    "negative": (b"timestamp,ltp,volume\n2021-06-01T10:00:00,-1,5\n", "no usable line"),
    "text": (b"hello\nworld\n", "header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_is_refused_in_one_line(name: str, cli: Cli, tmp_path: Path) -> None:
    content, word = BAD[name]
    path = tmp_path / "BAD.csv"
    path.write_bytes(content)
    refused(cli.demo([path]), "BAD.csv", word)


def refused(ran: Ran, *words: str) -> None:
    """Exit 2, nothing on standard output, one line that says what is wrong."""
    assert ran.code == 2, ran
    assert ran.out == ""
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    for word in words:
        assert word in ran.err, ran.err


def test_wrong_words_are_refused_in_one_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "SOME.csv"
    write_ticks(part(synthetic_day(date(2026, 9, 16), 1)[0], 50), path)
    refused(cli.demo([path], "--strategy", "nope"), "nope", "ema_crossover", "momentum_ladder")
    refused(cli.demo([path], "--strategy", "ema_crosover"), "did you mean", "ema_crossover")
    refused(cli.demo([path], "--timeframe", "7m"), "7m", "15m")
    refused(cli.demo([path], "--speed", "-1"), "-1")
    refused(cli.demo([tmp_path / "ABSENT.csv"]), "ABSENT.csv", "no such file")
    refused(cli.demo([tmp_path]), "directory")
    refused(cli.demo([path, path]), "SOME")
    odd = path.rename(tmp_path / "odd name!.csv")
    refused(cli.demo([odd]), "odd name!.csv", "no symbol", "allowed")


def test_a_price_that_halves_for_good_traps_nobody(cli: Cli, tmp_path: Path) -> None:
    whole = part(synthetic_day(date(2026, 9, 16), 1)[3], 9000)
    price = whole.price.copy()
    price[4000:] = price[4000:] // 2
    path = tmp_path / "HALVED.csv"
    write_ticks(replace(whole, price=price), path)
    ran = cli.demo([path])
    assert ran.code == 0
    report = ran.report
    assert report["open_positions"] == []
    assert any(trade["entry_time"] > to_ist(int(whole.ts[4000])).isoformat() for trade in report["trades"])
    rejected = [line for line in cli.lines(report["day"]) if line.get("status") == "rejected"]
    assert rejected == []


def test_a_wrong_request_leaves_the_last_day_s_journal_and_book_alone(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "SOME.csv"
    write_ticks(part(synthetic_day(date(2026, 9, 16), 1)[3], 2000), path)
    day = cli.demo([path]).report["day"]
    before = cli.lines(day)
    refused(cli.demo([path], "--history", tmp_path / "none.csv"), "none.csv", "no such file")
    refused(cli.demo([path], "--resume", "--strategy", "momentum_ladder"), "--resume", "begun with something else")
    assert cli.lines(day) == before
