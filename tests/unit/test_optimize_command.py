"""``optimize`` from files to its outputs: a set comes to what ``backtest`` with those parameters comes to."""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimize_room import config_for

from otrade_bot.cli import _parser, main
from otrade_bot.config.models import Config
from otrade_bot.core.clock import MINUTE, at_ist, iso
from otrade_bot.kernel.compile import Kernel
from otrade_bot.research.backtest import Backtest, Friction
from otrade_bot.research.data import Market, load_files
from otrade_bot.research.optimize_job import Sweeper, job_of_backtest, set_records
from otrade_bot.service import backtest_command, optimize_command
from otrade_bot.strategies.loader import TradingStrategy

Shipped = tuple[TradingStrategy, ...]
FAST, SLOW, LADDER = (
    {"fast": 3, "slow": 9, "stop_percent": 0.3}, {"fast": 6, "slow": 20, "target_percent": 0.4},
    {"ema_fast": 3, "ema_mid": 5, "ema_slow": 8, "ema_trend": 13, "lookback": 3},
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Minute bars of two shares over eight sessions of 2021, with volume; the second starts two minutes late."""
    folder = tmp_path_factory.mktemp("prices")
    made = []
    rng = np.random.default_rng(7)
    for name, level, late in (("AAA", 60_000.0, 0), ("BBB", 142_000.0, 2)):
        lines = ["timestamp,open,high,low,close,volume"]
        for day in ("2021-06-01", "2021-06-02", "2021-06-03", "2021-06-04", "2021-06-07", "2021-06-08", "2021-06-09",
                    "2021-06-10"):  # fmt: skip
            year, month, number = map(int, day.split("-"))
            start = at_ist(date(year, month, number), 9, 15)
            steps = rng.normal(0, 0.0005, 4 * 375) + 0.0004 * np.sin(np.arange(4 * 375) / 60)
            paise = np.rint(level * np.exp(np.cumsum(steps)) / 5).astype(int).reshape(375, 4) * 5
            level = float(paise[-1, -1])
            for i in range(late, 375):
                o, h, low, c = paise[i, 0], paise[i].max(), paise[i].min(), paise[i, 3]
                stamp = iso(start + i * MINUTE)[:19]
                money = ",".join(f"{int(x) / 100:.2f}" for x in (o, h, low, c))
                lines.append(f"{stamp},{money},{rng.integers(0, 40)}")
        path = folder / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        made.append(path)
    return made


def over(
    market: Market, config: Config, kernel: Kernel, strategies: dict[str, TradingStrategy], friction: Friction
) -> Backtest:
    return Backtest(config, market, strategies, kernel, friction)


@pytest.mark.parametrize(
    ("name", "timeframe", "given", "friction", "risk"),
    [
        ("ema_crossover", "1m", [FAST, SLOW], Friction(), {}),
        ("ema_crossover", "5m", [FAST, SLOW], Friction(800_000_000, 300, 300_000), {"max_trades_per_day": 9}),
        ("ema_crossover", "1m", [SLOW], Friction(), {"max_order_value": 29_700, "daily_loss_limit": 80}),
        ("momentum_ladder", "1m", [LADDER], Friction(0, 100), {"product": "CNC"}),
    ],
)
def test_a_set_comes_to_what_backtest_comes_to(
    name: str, timeframe: str, given: list[dict[str, Any]], friction: Friction, risk: dict[str, Any],
    files: list[Path], kernel: Kernel, shipped: Shipped,
) -> None:  # fmt: skip
    """Day by day to the paisa, with days before that only warm up, partial fills, positions kept over night."""
    strategies = {s.name: s for s in shipped}
    market = load_files(files).between(load_files(files).days[2], None)
    config = config_for(name, timeframe, market.symbols, **risk)
    sets = [strategies[name].params.model_validate(values) for values in given]
    job = job_of_backtest(over(market, config, kernel, strategies, friction), strategies)
    found = Sweeper(job, kernel).run(set_records(kernel, strategies[name], sets))
    assert len(job.past) > 500 / (5 if timeframe == "5m" else 1)
    for i, params in enumerate(sets):
        entry = config.trading.strategies[0].model_copy(update={"params": params.model_dump()})
        own = Config(config.trading.model_copy(update={"strategies": (entry,)}), config.risk, config.brokers,
                     config.market, config.charges, config.telegram)  # fmt: skip
        outcome = over(market, own, kernel, strategies, friction).run()
        assert found.days[i]["net"].tolist() == [day.net for day in outcome.days]
        assert found.days[i]["trades"].tolist() == [day.trades for day in outcome.days]
        assert int(found.days[i]["gross"].sum()) == sum(t.gross for t in outcome.trades)
        assert int(found.days[i]["charges"].sum()) == sum(t.charges for t in outcome.trades)
        assert {n: int(found.scores[i][n]) for n in ("ticks", "signals", "orders", "fills")} == {
            n: outcome.counts[n] for n in ("ticks", "signals", "orders", "fills")
        }
        assert len(outcome.trades) + len(outcome.held) > 3


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> Path:
    monkeypatch.setenv("OTRADE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OTRADE_STATE_DIR", str(tmp_path / "state"))
    for command in (backtest_command, optimize_command):
        monkeypatch.setattr(command, "build_kernel", lambda *_, **__: kernel)
    return tmp_path


WORDS = ["--grid", "fast=3:9:3", "--grid", "slow=6:18:6", "--min-trades", "2", "--capital", "100000"]


def test_one_json_object_with_everything_and_the_files_beside_it(
    files: list[Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png, table = here / "map.png", here / "sets.csv"
    code = main(["optimize", *map(str, files), *WORDS, "--walk-forward", "2", "--json", "--heatmap", str(png),
                 "--csv", str(table), "--jobs", "2"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (told["sets"], told["complete"], told["days"]) == (7, True, 8)
    assert told["refused"] == {"fast must be smaller than slow": 2}
    assert told["wall"]["workers"] == 2
    assert len(told["walk_forward"]) == 2
    assert told["walk_forward"][1]["test"][1] == "2021-06-10"
    assert told["verdict"]["tries"] == 7
    assert any("picked parameters" in line or "deflated" in line for line in told["warnings"])
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 7
    best = told["best"]
    mine = next(r for r in rows if (int(r["fast"]), int(r["slow"])) == (best["params"]["fast"], best["params"]["slow"]))
    assert float(mine["net"]) == best["net"]
    assert png.read_bytes().startswith(b"\x89PNG")
    main(["backtest", *map(str, files), "--capital", "100000", "--json",
          *(w for k, v in best["params"].items() for w in ("--param", f"{k}={v}"))])  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert report["net"] == best["net"]
    assert report["sharpe"] == pytest.approx(best["sharpe"], abs=1e-3)


def test_the_page_says_that_nothing_was_judged_on_other_days(
    files: list[Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimize", str(files[0]), *WORDS, "--search", "random", "--trials", "4"]) == 0
    page = capsys.readouterr().out
    assert "random search for the best Sharpe ratio over fast 3 to 9 by 3; slow 6 to 18 by 6" in page
    assert "4 combinations were tried on 8 days" in page
    assert "--walk-forward 5 looks at that" in page


def test_ctrl_c_tells_what_is_known_and_that_it_is_not_all(
    files: list[Path], here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(optimize_command.Local):
        def sweep(self, job: Any, records: Any, stop: Any) -> Any:
            for answer in super().sweep(job, records, stop):
                yield answer
                if not stop():
                    os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(optimize_command, "Local", Interrupting)
    before = signal.getsignal(signal.SIGINT)
    wide = ["--grid", "fast=2:30:1", "--grid", "slow=31:60:1", "--trials", "900", "--jobs", "1", "--json"]
    assert main(["optimize", str(files[0]), *wide]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    told, said = capsys.readouterr()
    result = json.loads(told)
    assert not result["complete"]
    assert 0 < result["sets"] < result["wanted"] == 870
    assert result["warnings"][0].startswith("INCOMPLETE: ")
    assert "stopping" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--grid", "fast=1:5"], "not below 2"), (["--objective", "luck"], "profit_factor"),
        (["--walk-forward", "9"], "fewer or shorter windows"), (["--heatmap", "/nowhere/x.png"], "folder that exists"),
        (["--grid", "fast=30,40", "--grid", "slow=10"], "fast must be smaller than slow"),
        (["--heatmap", "x.png", "--heatmap-axes", "fast,fast"], "two parameters"), (["--strategy", "nope"], "no such"),
        (["--param", "speed=1"], "no such parameter"), (["--cluster", "tcp://127.0.0.1:1"], "no scheduler answers"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_before_any_work(
    words: list[str], why: str, files: list[Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimize", str(files[0]), *words]) == 2
    told, said = capsys.readouterr()
    assert told == ""
    assert len(said.strip().splitlines()) == 1
    assert why in said


def test_a_parameter_may_be_fixed_where_only_searched_ones_make_it_valid(
    files: list[Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow 21, the default, would refuse fast 30."""
    assert main(["optimize", str(files[0]), "--param", "fast=30", "--grid", "slow=40:60:10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == 3


def test_options_of_backtest_that_choose_prices_are_options_of_optimize() -> None:
    def options(name: str) -> set[str]:
        commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
        return {word for action in commands.choices[name]._actions for word in action.option_strings}

    assert options("backtest") - options("optimize") == {"--plot", "--html", "--trades"}
