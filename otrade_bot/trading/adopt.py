"""Settings that change while it trades: limits, sizes and switches at once, an open position's numbers after it.

Stops, targets and additions of a position are those with which it was opened, until its instrument is flat: here,
and when a later start plays the day again, for which the journal keeps the numbers that held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otrade_bot.config.models import Config
from otrade_bot.core.clock import SECOND
from otrade_bot.core.money import Paise
from otrade_bot.kernel import state as abi
from otrade_bot.strategies.base import Rung, StrategyParams
from otrade_bot.strategies.loader import parse_params
from otrade_bot.trading import setup

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = [
    "NumbersThen", "RungNumbers", "Tables", "adopt", "end_again", "entry_labels", "numbers_then", "tables_at",
    "tables_of",
]  # fmt: skip

#: By label of a strategy its rungs' numbers.
Tables = Mapping[str, Sequence[Rung]]
#: From a moment on (ns UTC) these numbers held.
NumbersThen = tuple[int, Tables]


def entry_labels(config: Config) -> list[str]:
    """A name for each strategy of the settings: its own, and ``name:2`` where it stands there again."""
    names = [given.name for given in config.trading.strategies]
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return [f"{name}:{again + 1}" if again else name for name, again in zip(names, before, strict=True)]


class RungNumbers:
    """The numbers that each row's rungs have, and those that wait until it is flat."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self._engine = engine
        self.waiting: dict[int, Sequence[Rung]] = {}  #: by row
        self.carried: dict[int, Sequence[Rung]] = {}  #: of positions of earlier days

    def put(self, row: int, table: Sequence[Rung]) -> bool:
        """From now on, or from when the row is flat on. False where it waits."""
        if self._engine.state[row]["side"].any() and not self._has(row, table):
            self.waiting[row] = table
            return False
        self.waiting.pop(row, None)
        self._write(row, table)
        return True

    def _write(self, row: int, table: Sequence[Rung]) -> None:
        setup.rung_numbers(self._engine.params[row], table)
        self._engine.deck.changed()

    def carry(self, row: int, numbers: Sequence[Sequence[float]]) -> None:
        """A position of an earlier day comes, with the numbers it was opened with; () where nobody knows them."""
        table = _table([list(rung) for rung in numbers])
        if table:
            self.carried[row] = table
            self._write(row, table)

    def restore(self) -> None:
        """After the rows' numbers have been written anew: what is carried goes on with its own."""
        for row, table in self.carried.items():
            if self._engine.state[row]["side"].any():
                self._write(row, table)

    def _has(self, row: int, table: Sequence[Rung]) -> bool:
        p = self._engine.params[row]
        columns = zip(p["stop_pct"], p["target_pct"], p["trail"], p["add_pct"], strict=True)
        return [tuple(rung) for rung in table] == list(columns)[: int(p["rungs"])]

    def settle(self, row: int) -> None:
        """A price of the row comes: the last position may be over."""
        table = self.waiting.get(row)
        if table is not None:
            self.put(row, table)

    def settle_all(self) -> None:
        for row, table in list(self.waiting.items()):
            self.put(row, table)

    def put_all(self, tables: Tables, labels: Sequence[str], *, at_once: bool = False) -> None:
        """The numbers of each strategy to the rows that it has. ``at_once``: also where something of today is held."""
        for row in self._engine.table:
            table = tables.get(labels[row.entry]) if 0 <= row.entry < len(labels) else None
            if table is None:
                continue
            if at_once and row.index not in self.carried:
                self._write(row.index, table)
            else:
                self.put(row.index, table)


def adopt(engine: LiveTradingEngine, config: Config, *, rules: bool = True) -> None:
    """These settings from now on; whoever calls has checked them. Hours, charges, instruments and indicators stay as
    they are: a day is opened for those. ``rules`` False: what strategies look at stays too, for an opening comes."""
    engine.post(lambda: _adopt(engine, config, rules))


def _adopt(engine: LiveTradingEngine, config: Config, rules: bool) -> None:
    engine.config = config
    setup.account_limits(engine.account, config)
    _judge_again(engine)
    manager, risk = engine.manager, config.risk
    manager.gate.limits = setup.gate_limits(config)
    manager.storm.most, manager.storm.within_ns = risk.reject_storm, risk.reject_storm_seconds * SECOND
    known: dict[int, StrategyParams] = {}
    for row in engine.table:
        if row.entry < 0:
            continue
        p, strategy = engine.params[row.index], engine.strategies.get(row.strategy)
        setup.row_size(p, row, config)
        if rules and strategy is not None:
            if row.entry not in known:
                known[row.entry] = parse_params(strategy, config.trading.strategies[row.entry].params)
            row.params = known[row.entry]
            setup.row_rules(p, row.params, strategy)
            engine.numbers.put(row.index, row.params.rung_table())
    engine.deck.changed()
    engine.switch_off_again()


def _judge_again(engine: LiveTradingEngine) -> None:
    """A day that was ended by its loss limit goes on where the new limit allows what was lost then, and not because
    prices have come back since; the kernel ends it by itself."""
    a = engine.account[0]
    lost = min(engine.ended_at, int(a["realised"] + a["unrealised"] - a["charges"]))
    if a["halted"] and not (a["loss_limit"] > 0 and lost <= -a["loss_limit"]):
        a["halted"], engine.ended_at = 0, 0


def end_again(engine: LiveTradingEngine, ended_at: Paise) -> None:
    """The day had been ended by its loss limit before this start, at that result; 0 = it had not."""
    if ended_at:
        engine.ended_at, engine.account[0]["halted"] = ended_at, 1
        _judge_again(engine)
        engine.deck.changed()


# --- what held when ---------------------------------------------------------------------------------


def tables_of(engine: LiveTradingEngine) -> dict[str, list[list[Any]]]:
    """For the journal: the numbers of each strategy's rungs as the settings have them now."""
    found = {}
    for label, given in zip(entry_labels(engine.config), engine.config.trading.strategies, strict=True):
        strategy = engine.strategies.get(given.name)
        if strategy is not None:
            found[label] = [list(rung) for rung in parse_params(strategy, given.params).rung_table()]
    return found


def numbers_then(before: Iterable[Mapping[str, Any]]) -> list[NumbersThen]:
    """What the day's journal tells of them, oldest first; lines of older versions tell nothing."""
    found: list[NumbersThen] = []
    for line in before:
        tables = _tables(line.get("rungs")) if line.get("kind") in ("run", "setting") else {}
        if tables and isinstance(line.get("ns"), int) and (not found or found[-1][1] != tables):
            found.append((line["ns"], tables))
    return found


def _tables(told: Any) -> Tables:
    """Only what has the right form: a journal may be of any version."""
    found = {}
    for label, rungs in told.items() if isinstance(told, Mapping) else ():
        if table := _table(rungs):
            found[str(label)] = table
    return found


def _table(told: Any) -> tuple[Rung, ...]:
    table = [_rung(one) for one in told] if isinstance(told, list) else []
    whole = tuple(rung for rung in table if rung is not None)
    return whole if len(whole) == len(table) <= abi.RUNGS else ()


def tables_at(then: Sequence[NumbersThen], ns: int) -> Tables:
    """What held at that moment; nothing where two strategies of one name cannot be told apart, or nobody knows."""
    found = next((tables for since, tables in reversed(then) if since <= ns), {})
    return {label: table for label, table in found.items() if ":" not in label and f"{label}:2" not in found}


def _rung(told: Any) -> Rung | None:
    if not (isinstance(told, list) and len(told) == 4 and all(isinstance(one, int | float) for one in told)):
        return None
    stop, target, trail, add = told
    return Rung(float(stop), float(target), bool(trail), float(add))
