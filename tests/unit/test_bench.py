"""The benchmark table: what it says of itself. The figures are for ``pytest tests/benchmarks``."""

from __future__ import annotations

import gc
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from otrade_bot.core.errors import BrokerException
from otrade_bot.research import bench_phone, bench_socket
from otrade_bot.research.bench import (
    BUSY,
    DAY,
    STEADY,
    Row,
    child,
    config_load,
    disk_time,
    kernel_of,
    machine,
    render,
    replay_of,
    signal_to_socket,
    ticks,
)
from otrade_bot.service import garbage
from otrade_bot.service.journal import DayJournal


def test_a_row_is_a_median_between_its_extremes() -> None:
    row = Row.of("step", "ns", [3.0, 1.0, 2.0])
    assert (row.low, row.median, row.high) == (1.0, 2.0, 3.0)
    assert row.as_json() == {
        "name": "step", "unit": "ns", "median": 2.0, "low": 1.0, "high": 3.0, "peers": {}, "note": "",
    }  # fmt: skip


def test_a_measured_row_is_positive_and_printed_with_its_unit() -> None:
    row = config_load()
    assert 0 < row.low <= row.median <= row.high
    assert "config_load" in render([row])
    assert " ms " in render([row])


def test_the_machine_is_named() -> None:
    assert {"cpu", "cores", "memory_gb", "python", "numba", "numpy"} <= set(machine())


@pytest.mark.parametrize("name", sorted(BUSY))
@pytest.mark.parametrize(("params", "count", "most"), [(STEADY, 1_000_000, 2_000), (BUSY, 20_000, 1_000)])
def test_the_replay_that_is_measured_trades_at_least_once_in_a_thousand_ticks(
    params: dict[str, dict[str, Any]], count: int, most: int, name: str
) -> None:
    run = replay_of(name, *kernel_of(), params=params[name]).start()
    run.day(DAY, ticks(count))
    assert run.tally[0]["ticks"] == count
    assert count / 1_000 <= run.tally[0]["trades"] <= most
    assert run.account[0]["halted"] == 0


def test_waits_for_the_disk_are_told_apart(tmp_path: Path) -> None:
    real = os.fdatasync
    with (tmp_path / "file").open("w") as file, disk_time() as spent:
        os.fdatasync(file.fileno())
        os.fdatasync(file.fileno())
    assert len(spent) == 2
    assert min(spent) > 0
    assert os.fdatasync is real


def test_a_child_says_its_figure_last_and_runs_on_an_empty_state() -> None:
    code = "import os, sys; print('noise'); print(os.path.exists(os.environ['OTRADE_STATE_DIR']), file=sys.stderr)"
    assert child(code) == "False"


def test_a_child_that_fails_is_no_figure() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        child("raise SystemExit(3)")


def test_a_childs_clock_is_ours() -> None:
    """``start_to_first_decision`` subtracts a moment of this process from one of another."""
    before = time.monotonic_ns()
    theirs = int(child("import sys, time; print(time.monotonic_ns(), file=sys.stderr)"))
    assert before < theirs < time.monotonic_ns()


def test_every_order_that_is_measured_arrives_at_the_brokers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_socket, "ROUNDS", 2)
    monkeypatch.setattr(bench_socket, "EACH", 3)
    rows = signal_to_socket(DayJournal)
    assert [(row.name, row.unit) for row in rows] == [("signal_to_socket_p50", "ms"), ("signal_to_socket_p99", "ms")]
    assert all(0 < row.low <= row.median <= row.high for row in rows)
    assert len(bench_socket.samples(DayJournal, 3)) == 3


def test_signal_to_socket_looks_for_garbage_as_the_service_does_and_puts_everything_back() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    assert bench_socket.THRESHOLDS == garbage.THRESHOLDS
    with bench_socket._tidy():
        assert gc.get_threshold() == garbage.THRESHOLDS
        assert gc.get_freeze_count() > 1000
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_an_order_that_does_not_leave_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bench_socket._account

    def barred(*given: Any) -> Any:
        account = made(*given)
        account.read_only = "nothing leaves today"
        return account

    monkeypatch.setattr(bench_socket, "_account", barred)
    with pytest.raises(BrokerException, match="did not leave"):
        bench_socket.samples(DayJournal, 2)


def test_every_command_of_the_phone_is_answered_while_prices_come() -> None:
    took, fed = bench_phone.samples(DayJournal, 8)
    assert len(took) == 8
    assert min(took) > 0
    assert fed > 0
