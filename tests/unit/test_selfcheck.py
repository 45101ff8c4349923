"""A recorded day is replayed with the same kernel: the same intents and the same state, or the first that differs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import DataException
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import source_key
from otrade_bot.research import selfcheck_run
from otrade_bot.research.selfcheck import check_day
from otrade_bot.research.selfcheck_run import kernels
from otrade_bot.research.tape import read_segment, ticks_of
from otrade_bot.research.tape_blocks import Inputs
from otrade_bot.strategies.loader import load_strategy
from otrade_bot.trading.adopt import adopt
from tests.harness.bench import OTHER, SHARE, Bench, config, kernel
from tests.unit.tape_room import checked, ended, header_of, record, with_price, written_again


def bench_of(folder: Path, **more: Any) -> Bench:
    both = config(symbols=(SHARE.symbol, OTHER.symbol), timeframe="tick", **more)
    return Bench.paper(folder / "paper.jsonl", both, instruments=(SHARE, OTHER))


def busy(bench: Bench, seed: int = 3, minutes: int = 12) -> None:
    """A walk with entries, stops, targets, refused prices and each minute."""
    rng, prices = random.Random(seed), [10_000, 20_000]
    for minute in range(minutes):
        for _ in range(20):
            for row in (0, 1):
                prices[row] = max(500, round(prices[row] * (1 + rng.uniform(-0.012, 0.012)) / 5) * 5)
                bench.price(prices[row], row=row)
            if rng.random() < 0.2:
                bench.engine.on_price(0, bench.now - SECOND, 9_000, 0)
        bench.at(9, 20 + minute)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path, bytes]:
    """A bench that has traded, its tape, and what is in it."""
    folder = tmp_path_factory.mktemp("day")
    bench = bench_of(folder)
    recorder = record(bench, folder / "tape")
    busy(bench)
    path = ended(recorder)
    return bench, path, path.read_bytes()


def test_a_day_with_trades_comes_out_the_same(day: tuple[Bench, Path, bytes]) -> None:
    bench, path, raw = day
    path.write_bytes(raw)
    assert bench.engine.trades()
    verdict = checked(path.parent, bench)
    assert verdict.well, verdict.words()
    assert verdict.words().endswith("inputs replayed, identical")
    kinds = {int(k) for part in read_segment(path).parts() if isinstance(part, Inputs) for k in part.intents["kind"]}
    assert kinds >= {abi.ENTER, abi.EXIT, abi.STOP, abi.EVALUATED}
    assert verdict.marks == 13
    assert verdict.ticks > 480


def test_the_tape_has_every_price_that_was_offered(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    recorder = record(bench, tmp_path / "tape")
    offered: list[tuple[int, int, int, int]] = []
    take = bench.engine.on_price

    def on_price(row: int, ts: int, price: int, volume: int) -> bool:
        offered.append((row, ts, price, volume))
        return take(row, ts, price, volume)

    bench.engine.on_price = on_price  # type: ignore[method-assign]
    busy(bench, minutes=3)
    found = ticks_of(ended(recorder))
    assert [file.symbol for file in found] == [SHARE.symbol, OTHER.symbol]
    for row, file in enumerate(found):
        columns = zip(file.ts.tolist(), file.price.tolist(), file.volume.tolist(), strict=True)
        assert list(columns) == [tuple(one[1:]) for one in offered if one[0] == row]
        assert file.day == bench.day
    assert bench.engine.status().dropped


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_price_that_is_another_paisa_is_found(day: tuple[Bench, Path, bytes], data: st.DataObject) -> None:
    bench, path, raw = day
    path.write_bytes(raw)
    ticks = sum(len(part.ticks) for part in read_segment(path).parts() if isinstance(part, Inputs))
    written_again(path, with_price(data.draw(st.integers(0, ticks - 1)), data.draw(st.sampled_from([-1, 1]))))
    verdict = checked(path.parent, bench)
    found = verdict.difference
    assert found is not None
    assert not verdict.well
    assert found.since or found.event
    assert "recorded" in found.words()


def test_a_difference_is_found_by_what_the_kernel_does_where_the_marks_know_of_the_change(
    day: tuple[Bench, Path, bytes],
) -> None:
    """Prices on which something is decided, or that still stand at a mark."""
    bench, path, raw = day
    seen = set()
    for number in (5, 39, 41, 60, 100, 200, 300):
        path.write_bytes(raw)
        written_again(path, with_price(number, -400), honest=True)
        found = checked(path.parent, bench).difference
        if found is not None:
            seen.add(found.what)
            assert found.symbol or found.what == "account"
    assert seen >= {"intent"}


def test_the_first_diverging_input_is_named_with_what_was_recorded_and_what_came(
    day: tuple[Bench, Path, bytes],
) -> None:
    bench, path, raw = day
    path.write_bytes(raw)
    place = _first_entry(path)
    written_again(path, with_price(place, -1), honest=True)
    found = checked(path.parent, bench).difference
    assert found is not None
    assert found.what == "intent"
    assert found.symbol in (SHARE.symbol, OTHER.symbol)
    assert found.event.startswith("price ₹")
    assert found.recorded.startswith(f"look {found.symbol} at ")
    assert found.recorded != found.came


@pytest.mark.parametrize("row", [2, -3, 2**62])
def test_a_recorded_intent_of_no_row_is_a_difference_like_any(row: int, day: tuple[Bench, Path, bytes]) -> None:
    bench, path, raw = day
    path.write_bytes(raw)

    def elsewhere(part: Any) -> Any:
        if isinstance(part, Inputs) and len(part.intents):
            meant = part.intents.copy()
            meant["row"] = row
            return replace(part, intents=meant)
        return part

    written_again(path, elsewhere)
    found = checked(path.parent, bench).difference
    assert found is not None
    assert f"row {row}" in found.recorded


def _first_entry(path: Path) -> int:
    """Number of the price at which something was entered first."""
    before = 0
    for part in read_segment(path).parts():
        if isinstance(part, Inputs):
            for intent, of in zip(part.intents, part.of, strict=True):
                if intent["kind"] == abi.ENTER:
                    return before + int(of) - int(np.searchsorted(part.at, of))
            before += len(part.ticks)
    raise AssertionError("nothing was entered")


def test_another_kernel_is_said_as_such_and_is_no_difference(day: tuple[Bench, Path, bytes]) -> None:
    bench, path, raw = day
    path.write_bytes(raw)
    verdict = checked(path.parent, bench, lambda header: "a strategy or the program has been changed since")
    assert verdict.difference is None
    assert not verdict.well
    assert "recorded by another kernel" in verdict.words()
    assert "a strategy or the program has been changed since" in verdict.words()


def test_a_torn_tape_is_compared_up_to_its_last_flush(day: tuple[Bench, Path, bytes]) -> None:
    bench, path, raw = day
    for cut in random.Random(1).sample(range(len(raw)), 12):
        path.write_bytes(raw[:cut])
        try:
            verdict = checked(path.parent, bench)
        except DataException as error:
            assert "cut off in its first line" in str(error)  # noqa: PT017
            continue
        assert verdict.difference is None
        assert verdict.dropped or verdict.well or verdict.notes


def paused(bench: Bench) -> None:
    bench.engine.pause("owner")
    busy(bench, 4, 2)
    bench.engine.resume("owner")


def switched_off(bench: Bench) -> None:
    bench.engine.exits_only(1)


def new_settings(bench: Bench) -> None:
    adopt(bench.engine, config(symbols=(SHARE.symbol, OTHER.symbol), timeframe="tick",
                               params={"stop_percent": 1.0, "target_percent": 1.5}, capital=9_000))  # fmt: skip


def later(bench: Bench) -> None:
    bench.engine.extend_square_off([SHARE.symbol], 5, "owner")


def held(bench: Bench) -> Any:
    """Something of ours that is open; prices go on until there is."""
    for seed in range(30):
        found = [one for one in bench.engine.positions() if not one.external and one.quantity > 1]
        if found:
            return found[0]
        busy(bench, seed, 1)
    raise AssertionError("nothing was bought")


def stop_by_hand(bench: Bench) -> None:
    position = held(bench)
    ltp = bench.engine.table[bench.engine.by_symbol[position.symbol]].ltp
    stop, target = (int(ltp * (1 + part * int(position.side))) // 5 * 5 for part in (-0.03, 0.05))
    bench.engine.set_level(position.symbol, position.rung, "stop", stop, "owner")
    bench.engine.set_level(position.symbol, position.rung, "target", target, "owner")


def half_closed(bench: Bench) -> None:
    position = held(bench)
    bench.engine.close(position.symbol, position.rung, "half", "owner")
    assert [trade for trade in bench.engine.trades() if trade.reason == "command"]


SITES: list[Callable[[Bench], None]] = [paused, switched_off, new_settings, later, stop_by_hand, half_closed]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.__name__)
def test_what_people_and_settings_change_is_on_the_tape(tmp_path: Path, site: Callable[[Bench], None]) -> None:
    bench = bench_of(tmp_path)
    recorder = record(bench, tmp_path / "tape")
    busy(bench, 3, 4)
    site(bench)
    busy(bench, 8, 4)
    ended(recorder)
    verdict = checked(tmp_path / "tape", bench)
    assert verdict.well, verdict.words()


def test_a_day_that_its_loss_limit_ended_comes_out_the_same(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, risk={"daily_loss_limit": 20, "daily_loss_flatten": True})
    recorder = record(bench, tmp_path / "tape")
    busy(bench, 3, 10)
    assert int(bench.engine.account["halted"][0])
    ended(recorder)
    verdict = checked(tmp_path / "tape", bench)
    assert verdict.well, verdict.words()


def test_a_write_that_nobody_announced_is_a_difference_between_two_marks(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    recorder = record(bench, tmp_path / "tape")
    busy(bench, 3, 3)
    bench.engine.state["price"][1] += 5
    bench.at(9, 40)
    ended(recorder)
    found = checked(tmp_path / "tape", bench).difference
    assert found is not None
    assert (found.what, found.symbol) == ("state", OTHER.symbol)
    assert found.since < found.ts


def test_segments_are_numbered_and_joined(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    for seed in (1, 2, 3):
        recorder = record(bench, tmp_path / "tape")
        busy(bench, seed, 2)
        ended(recorder)
    assert sorted(path.name for path in (tmp_path / "tape").iterdir()) == [
        f"2026-09-16.00{number}.tape" for number in (1, 2, 3)
    ]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "tape").iterdir())
    verdict = checked(tmp_path / "tape", bench)
    assert (verdict.segments, verdict.compared) == (3, 3)
    assert verdict.well, verdict.words()


def test_a_day_trades_alike_with_a_tape_and_without(tmp_path: Path) -> None:
    days = []
    for name in ("on", "off"):
        (tmp_path / name).mkdir()
        bench = bench_of(tmp_path / name)
        recorder = record(bench, tmp_path / name / "tape") if name == "on" else None
        busy(bench)
        days.append((bench.engine.trades(), bench.engine.state.tobytes(), bench.engine.account.tobytes(),
                     list(bench.diary.events)))  # fmt: skip
        if recorder is not None:
            ended(recorder)
    assert days[0] == days[1]


def test_no_tapes_are_nothing_replayed(tmp_path: Path) -> None:
    verdict = check_day([], lambda header: kernel(), bench_of(tmp_path).day)
    assert not verdict.well
    assert verdict.words() == "self-check: nothing was replayed"


def test_an_edited_a_broken_and_a_missing_strategy_are_each_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(load_strategy("ema_crossover").path.read_text())
    key = source_key([load_strategy("mine", tmp_path).source])
    header = replace(header_of(bench_of(tmp_path)), sids=("mine",), kernel=key)
    monkeypatch.setattr(selfcheck_run, "build_kernel", lambda chosen: kernel())
    assert kernels({"mine": mine})(header) is kernel()
    mine.write_text(mine.read_text() + "\n# another mind\n")
    assert "a strategy or the program has been changed since" in str(kernels({"mine": mine})(header))
    mine.write_text("def update(:\n")
    assert "mine.py:1" in str(kernels({"mine": mine})(header))
    assert "its file is not known here" in str(kernels({})(header))


def test_a_tape_cannot_name_a_file_to_run(tmp_path: Path) -> None:
    """Names are looked up among those that whoever asks knows."""
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    for name in ("trap", str(trap), str(trap.with_suffix("")), "../trap"):
        header = replace(header_of(bench_of(tmp_path)), sids=(name,))
        found = kernels({"ema_crossover": load_strategy("ema_crossover").path})(header)
        assert "its file is not known here" in str(found)
    assert not (tmp_path / "sprung").exists()
