"""A desk to try the kernel at: its arrays for a few rows, and one method an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from otrade_bot.config.models import ChargesConfig
from otrade_bot.core.clock import MINUTE, SECOND, at_ist
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import Kernel
from otrade_bot.strategies.loader import load_strategy

DAY = date(2021, 6, 1)
OPEN, CLOSE = at_ist(DAY, 9, 15), at_ist(DAY, 15, 30)
INFINITE = 1 << 60
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Intent:
    """One record of INTENT, under the dtype's names."""

    kind: int
    row: int
    rung: int
    cycle: int
    side: int
    qty: int
    price: int
    stop: int
    target: int
    code: int
    ts: int


def read(out: Array, n: int) -> list[Intent]:
    return [Intent(*(int(v) for v in record)) for record in out[:n].tolist()]


def of(intents: list[Intent], kind: int) -> list[Intent]:
    return [i for i in intents if i.kind == kind]


class Desk:
    """``kernel``'s arrays for ``rows`` rows of one strategy, set up for one day without limits in the way."""

    def __init__(self, kernel: Kernel, strategy: str = "ema_crossover", rows: int = 1, tf: int = 0,
                 intraday: bool = True, **settings: Any) -> None:  # fmt: skip
        self.kernel = kernel
        self.state, self.account, self.params = kernel.new_rows(rows), kernel.new_account(), kernel.new_params(rows)
        self.event, self.out = kernel.new_event(), kernel.new_intents(rows)
        self.limits(max_rungs=90, total_capital=INFINITE, spike_confirm=1, trail_step_ppm=0, trail_interval=0)
        for row in range(rows):
            self.equip(row, strategy, tf, intraday, **settings)
        for row in range(rows):
            self.send(abi.PHASE, row, ts=OPEN, code=abi.PHASE_DAY, value=DAY.toordinal())

    def equip(self, row: int, strategy: str, tf: int = 0, intraday: bool = True, **settings: Any) -> None:
        """One row's PARAMS, as trading/setup does it, but without a config. ``""`` is a watched row."""
        p = self.params[row]
        for name, value in {
            "lot": 1, "tick": 5, "tradable": 1, "enabled": 1, "intraday": int(intraday), "tf": tf,
            "capital": 300_000, "day_open": OPEN, "day_close": CLOSE, "entry_from": OPEN,
            "entry_until": CLOSE - 30 * MINUTE, "square_off": CLOSE - 15 * MINUTE if intraday else 0,
            **ChargesConfig().row_for(DAY)[0].kernel_rates("intraday" if intraday else "delivery"),
        }.items():  # fmt: skip
            p[name] = value
        if not strategy:
            return
        found = load_strategy(strategy)
        chosen = found.params.model_validate(settings)
        p["sid"], p["warm"], p["rungs"] = self.kernel.sids[strategy], chosen.warmup(), len(chosen.rung_table())
        p["short"], p["exit_on_signal"], p["scan"] = chosen.short, chosen.exit_on_signal, chosen.scan
        for i, rung in enumerate(chosen.rung_table()):
            p["stop_pct"][i], p["target_pct"][i] = rung.stop, rung.target
            p["trail"][i], p["add_pct"][i] = int(rung.trail), rung.add
        for name in found.source.params:
            p[name] = getattr(chosen, name)

    def limits(self, **values: int) -> None:
        for name, value in values.items():
            self.account[0][name] = value

    def put(self, row: int = 0, **values: Any) -> None:
        """Change PARAMS of a row."""
        for name, value in values.items():
            self.params[row][name] = value

    def get(self, name: str, row: int = 0, rung: int | None = None) -> Any:
        value = self.state[row][name]
        return value.item() if rung is None else value[rung].item()

    def sum(self, name: str) -> int:
        """A field of the account."""
        return int(self.account[0][name])

    def send(self, kind: int, row: int = 0, **fields: int) -> list[Intent]:
        e = self.event[0]
        for name in abi.EVENT.names or ():
            e[name] = fields.get(name, 0)
        e["kind"], e["row"] = kind, row
        return read(self.out, self.kernel.run(self.state, self.account, self.params, self.event, self.out))

    def tick(self, ts: int, price: int, volume: int = 0, row: int = 0, code: int = abi.LIVE) -> list[Intent]:
        return self.send(abi.TICK, row, ts=ts, price=price, qty=volume, code=code)

    def bar(self, ts: int, o: int, h: int, low: int, c: int, volume: int = 0, row: int = 0,
            code: int = abi.LIVE) -> list[Intent]:  # fmt: skip
        return self.send(abi.BAR, row, ts=ts, value=o, high=h, low=low, price=c, qty=volume, code=code)

    def timer(self, ts: int, scan: int = 1, code: int = abi.LIVE) -> list[Intent]:
        """Every row's timer."""
        n = self.kernel.timer_all(self.state, self.account, self.params, ts, scan, code, self.out)
        return read(self.out, n)

    def adopt(self, cycle: int = 1, qty: int = 10, price: int = 10_000, side: int = 1, rung: int = 0,
              row: int = 0) -> None:  # fmt: skip
        assert not self.send(abi.ADOPT, row, rung=rung, cycle=cycle, code=side, qty=qty, price=price)

    def fill(self, qty: int, value: int, leg: int = abi.ENTRY, cycle: int = 1, rung: int = 0, row: int = 0,
             ts: int = OPEN) -> list[Intent]:  # fmt: skip
        """``qty`` and ``value`` are cumulative."""
        return self.send(abi.FILL, row, ts=ts, leg=leg, rung=rung, cycle=cycle, qty=qty, value=value)

    def end(self, kind: int = abi.DONE, leg: int = abi.ENTRY, cycle: int = 1, rung: int = 0, row: int = 0,
            ts: int = OPEN, qty: int = 0) -> list[Intent]:  # fmt: skip
        return self.send(kind, row, ts=ts, leg=leg, rung=rung, cycle=cycle, qty=qty)

    def hold(self, cycle: int = 1, qty: int = 10, price: int = 10_000, side: int = 1, rung: int = 0,
             row: int = 0, ts: int = OPEN) -> list[Intent]:  # fmt: skip
        """A rung filled whole."""
        self.adopt(cycle, qty, price, side, rung, row)
        return self.fill(qty, qty * price, abi.ENTRY, cycle, rung, row, ts)

    def bytes(self) -> bytes:
        return self.state.tobytes() + self.account.tobytes() + self.params.tobytes()


__all__ = ["CLOSE", "DAY", "INFINITE", "MINUTE", "OPEN", "SECOND", "Array", "Desk", "Intent", "np", "of", "read"]
