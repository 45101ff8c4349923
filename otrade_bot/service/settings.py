"""Settings changed by command: the file first, then the desk, then everybody is told.

A process that is killed in between starts with the file. Limits, sizes and switches hold at once; what goes into
indicators wants the desk opened again, which rebuilds them from history; the rest waits for the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otrade_bot.config import Config, ConfigManager, config_dir, environment
from otrade_bot.config.changes import KEYS, changed, known_key, read_value, riskier, value_text
from otrade_bot.config.explain import allowed_at
from otrade_bot.config.models import StrategyConfig, User
from otrade_bot.config.rules import as_exception, first_fault
from otrade_bot.control.settings_desk import Change, Knob, Proposal, StrategyState
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.lang import t
from otrade_bot.service.settings_files import compare, raw_strategies, with_strategy
from otrade_bot.service.settings_judge import cold, few, in_the_way, limit_notes, parameter_change, strategy_notes
from otrade_bot.strategies.loader import TradingStrategy, parse_params
from otrade_bot.trading import setup
from otrade_bot.trading.adopt import adopt, entry_labels, tables_of

if TYPE_CHECKING:
    from otrade_bot.service.app import Service
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["AGAIN", "Settings"]

#: Why a desk is opened again.
AGAIN = "new settings"


@dataclass(frozen=True, slots=True)
class _Plan:
    """``writes``: (file, outermost key, plain value); ``config``: what holds then."""

    config: Config
    writes: tuple[tuple[str, str, Any], ...] = ()
    reopen: bool = False


class Settings:
    """A ``SettingsDesk``. ``manager`` makes one that reads the files anew."""

    def __init__(
        self,
        service: Service,
        manager: Callable[[], ConfigManager] = lambda: ConfigManager(config_dir(), environment()),
    ) -> None:
        self._service, self._manager = service, manager
        self.people: Callable[[Sequence[User]], None] | None = None  #: takes who is heard, where there is a phone
        self._awaited: tuple[str, str] | None = None  #: who and what, of an opening that is to come

    @property
    def config(self) -> Config:
        return self._service.config

    @property
    def _engine(self) -> LiveTradingEngine:
        return self._service.engine

    # --- what there is --------------------------------------------------------------------------------

    def knobs(self) -> list[Knob]:
        return [
            Knob(key.file, key.name, key.value(self.config), key.allowed, key.info.description or "")
            for key in KEYS.values()
        ]

    def strategies(self) -> list[StrategyState]:
        trading = self.config.trading
        return [
            self._state(place, label, given)
            for place, (label, given) in enumerate(zip(entry_labels(self.config), trading.strategies, strict=True))
        ]

    def _state(self, place: int, label: str, given: StrategyConfig) -> StrategyState:
        own = given.capital_per_position
        rows = [row for row in self._engine.table if row.entry == place]
        held = {row.index for row in rows}
        return StrategyState(
            label, given.enabled, given.timeframe, given.instruments,
            self.config.trading.capital_per_position if own is None else own, own is not None,
            sum(1 for life in self._engine.manager.lives.values() if life.row in held and not life.closed),
            tuple(cold(self._engine, rows)), self._params(given),
        )  # fmt: skip

    def _params(self, given: StrategyConfig) -> list[Knob]:
        strategy = self._strategy(given)
        params = parse_params(strategy, given.params)
        return [
            Knob("trading.json", name, getattr(params, name), allowed_at(strategy.params, (name,)),
                 info.description or "", name not in given.params)
            for name, info in strategy.params.model_fields.items()
        ]  # fmt: skip

    def _strategy(self, given: StrategyConfig) -> TradingStrategy:
        return self._service.opener.strategies[given.name]

    # --- what would be --------------------------------------------------------------------------------

    def proposed(self, key: str, value: str) -> Proposal:
        known = known_key(key)
        new = read_value(value, known.info.annotation)
        manager = self._manager()
        filed = manager.load(create=False)
        outer, inner = known.loc[0], known.loc[1:]
        plain: Any = new
        if inner:
            part = getattr(getattr(filed, known.file.removesuffix(".json")), outer)
            plain = {**part.model_dump(mode="json", exclude_unset=True), inner[0]: new}
        manager.put(known.file, outer, plain, dry=True)
        whole = {**getattr(self.config.trading, outer).model_dump(mode="json"), inner[0]: new} if inner else new
        config = self._checked(changed(self.config, known.file, outer, whole))
        old, typed = known.value(self.config), known.value(config)
        if old == typed == known.value(filed):
            return Proposal()
        change = Change(known.file, known.name, old, typed, "now", riskier(known.name, old, typed))
        notes = [*limit_notes(self._engine, known.name, config), *self._rehearsed(known.file)]
        stamp = (old, typed, known.value(filed))
        return Proposal((change,), (), tuple(notes), stamp, _Plan(config, ((known.file, outer, plain),)))

    def switched(self, label: str, on: bool) -> Proposal:
        place = self._place(label)
        return self._one(place, {"enabled": on}, Change(
            "trading.json", f"{self._label(place)} enabled", self.config.trading.strategies[place].enabled, on,
        ))  # fmt: skip

    def parameter(self, label: str, key: str, value: str) -> Proposal:
        place, given_back = self._place(label), value.lower() == "default"
        given = self.config.trading.strategies[place]
        name = f"{self._label(place)} {key}"
        if key == "capital":
            new = None if given_back else read_value(value, int)
            old = given.capital_per_position
            size = (self.config.trading.capital_per_position if one is None else one for one in (old, new))
            before, after = (one if isinstance(one, int) else 0 for one in size)
            return self._one(place, {"capital_per_position": new},
                             Change("trading.json", name, old, new, "now", after > before))  # fmt: skip
        strategy = self._strategy(given)
        info = strategy.params.model_fields.get(key)
        typed = read_value(value, info.annotation) if info is not None else value
        params = {**given.params, key: typed}
        if given_back and info is not None:
            del params[key]
        before_params, after_params = parse_params(strategy, given.params), parse_params(strategy, params)
        return self._one(place, {"params": params}, parameter_change(name, key, strategy, before_params, after_params))

    def _one(self, place: int, update: dict[str, Any], change: Change) -> Proposal:
        """One strategy with something else of its own."""
        manager = self._manager()
        filed = manager.load(create=False)
        raws, filed_place = raw_strategies(filed, self.config, place)
        there = raws[filed_place]
        for key, value in update.items():
            there[key] = self._into_file(there, key, value, change)
        manager.put("trading.json", "strategies", raws, dry=True)
        config = self._checked(with_strategy(self.config, place, update))
        unchanged = change.old == change.new
        if unchanged and filed.trading.strategies[filed_place] == config.trading.strategies[place]:
            return Proposal()
        reopen = change.effect == "reopen"
        notes = [
            *strategy_notes(self._engine, config, self._strategy(config.trading.strategies[place]), place, change),
            *self._rehearsed("trading.json"),
        ]
        self._dry_run(config, place)
        return Proposal(
            (change,), tuple(in_the_way(self._engine)) if reopen else (), tuple(notes),
            (change.key, repr(change.old), repr(change.new), repr(there)),
            _Plan(config, (("trading.json", "strategies", raws),), reopen),
        )  # fmt: skip

    def _into_file(self, there: dict[str, Any], key: str, value: Any, change: Change) -> Any:
        """Of parameters only the changed one: the file may hold others that are not in force yet."""
        if key != "params":
            return value
        name = change.key.rpartition(" ")[2]
        kept = dict(there.get("params", {}))
        kept.pop(name, None) if name not in value else kept.update({name: value[name]})
        return kept

    def _dry_run(self, config: Config, place: int) -> None:
        """A window longer than the rings is found now, not by the desk that is opened with it."""
        strategies, rows = self._service.opener.strategies, self._engine.table
        given = config.trading.strategies[place]
        params = parse_params(strategies[given.name], given.params)
        tried = [replace(row, params=params) for row in rows if row.entry == place][:1]
        setup.dry_run(self._service.opener.kernel, tried, strategies, config)

    def reloaded(self) -> Proposal:
        manager, known = self._manager(), self._service.opener.strategies
        filed = manager.load(create=False)
        folder = setup.user_strategies(filed, manager.config_dir)
        found = compare(
            self.config, filed, known, rehearsed=self._rehearsal, folder=folder, phone=self.people is not None
        )
        config = self._checked(found.config)
        for place, given in enumerate(config.trading.strategies):
            if given.params != self.config.trading.strategies[place].params:
                self._dry_run(config, place)
        reopen = any(change.effect == "reopen" for change in found.changes)
        notes: list[str] = []
        for change in found.changes:
            notes += limit_notes(self._engine, change.key, config) if change.effect == "now" else []
        for place in found.places:
            strategy = self._strategy(config.trading.strategies[place])
            own = [one for one in found.changes if one.key.startswith(f"{self._label(place)} ")]
            notes += [note for one in own for note in strategy_notes(self._engine, config, strategy, place, one)]
        return Proposal(
            tuple(found.changes), tuple(in_the_way(self._engine)) if reopen else (), tuple(dict.fromkeys(notes)),
            repr(found.changes), _Plan(config, (), reopen),
        )  # fmt: skip

    # --- doing it -------------------------------------------------------------------------------------

    def apply(self, proposal: Proposal, by: str) -> str:
        plan, path = proposal.plan, ""
        assert isinstance(plan, _Plan)
        for file, key, value in plan.writes:
            path = self._manager().put(file, key, value)
        heard = plan.config.telegram != self.config.telegram
        self._service.take(plan.config)
        if heard and self.people is not None:
            self.people(plan.config.telegram.users)
        engine = self._engine
        adopt(engine, plan.config, rules=not plan.reopen)
        self._say(proposal, by)
        if plan.reopen:
            self._awaited = by, ", ".join(_arrow(change) for change in proposal.changes if change.effect == "reopen")
            self._service.want_again(AGAIN)
        return path

    def _say(self, proposal: Proposal, by: str) -> None:
        """To everybody, and into the journal: what, from which value to which, and from when on."""
        words = "; ".join(_arrow(change) + _FROM[change.effect] for change in proposal.changes)
        data = {
            "by": by, "rungs": tables_of(self._engine),
            "changes": [
                {"file": one.file, "key": one.key, "old": _plain(one.old), "new": _plain(one.new), "effect": one.effect}
                for one in proposal.changes
            ],
        }  # fmt: skip
        self._tell(f"changed by {by}: {words}", Severity.WARNING if proposal.raises else Severity.INFO, data)

    def opened(self) -> None:
        """A desk is open: what was changed for it holds now. Whoever has too little history is named."""
        if self._awaited is None:
            return
        (by, words), self._awaited = self._awaited, None
        rows = [row for row in self._engine.table if row.entry >= 0]
        short = few(f"{symbol} {bars} of {need} bars" for symbol, bars, need in cold(self._engine, rows))
        text = f"in force: {words}"
        if short:
            text += f"; not warm yet, so no entries: {short}"
        self._tell(text, Severity.WARNING if short else Severity.INFO, {"by": by, "state": "in_force"})

    def _tell(self, text: str, severity: Severity, data: dict[str, Any]) -> None:
        self._engine.emit(Event(EventKind.SETTING, self._service.clock.now_ns(), "", text, severity, data))

    # --- steps ----------------------------------------------------------------------------------------

    def _checked(self, config: Config) -> Config:
        """Past every rule that spans fields and files. Raises ConfigException."""
        fault = first_fault(config)
        if fault is not None:
            raise as_exception(fault, fault.file)
        return config

    def _place(self, label: str) -> int:
        labels = entry_labels(self.config)
        found = [place for place, known in enumerate(labels) if known.lower() == label.lower()]
        found = found or [place for place, known in enumerate(labels) if known.startswith(label.lower())]
        if len(found) != 1:
            raise ConfigException("no such strategy", key=label, allowed=", ".join(labels))
        return found[0]

    def _label(self, place: int) -> str:
        return entry_labels(self.config)[place]

    @property
    def _rehearsal(self) -> bool:
        return self._service.setting.rehearsal is not None

    def _rehearsed(self, file: str) -> Sequence[str]:
        if not self._rehearsal:
            return ()
        return (t("This is a rehearsal, and {file} is not: what is written holds for later starts too.", file=file),)


def _arrow(change: Change) -> str:
    return f"{change.key} {value_text(change.old)} → {value_text(change.new)}"


_FROM = {
    "now": "",
    "flat": " (open positions keep theirs)",
    "reopen": " (the desk is opened again for it)",
    "restart": " (NOT in force before the next start)",
}


def _plain(value: Any) -> Any:
    """For the journal."""
    return value if isinstance(value, bool | int | float | str | None) else value_text(value)
