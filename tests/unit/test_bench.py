"""The benchmark table: what it says of itself. The figures are for ``pytest tests/benchmarks``."""

from __future__ import annotations

from otrade_bot.research.bench import Row, config_load, machine, render


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
