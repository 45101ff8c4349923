"""What a change of settings would be: judged against the run and against the files, and nothing done yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otrade_bot.config import Config, ConfigManager
from otrade_bot.config.changes import Key, changed, known_key, read_value, riskier
from otrade_bot.config.rules import as_exception, first_fault
from otrade_bot.control.settings_desk import Change, Proposal
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.lang import t
from otrade_bot.service.settings_files import compare, raw_strategies, with_strategy
from otrade_bot.service.settings_judge import in_the_way, limit_notes, parameter_change, strategy_notes
from otrade_bot.strategies.loader import TradingStrategy, parse_params
from otrade_bot.trading import setup
from otrade_bot.trading.adopt import entry_labels

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Plan", "Planner", "place_of"]

_FILE = "trading.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """``writes``: (file, outermost key, plain value); ``config``: what holds then; ``reopen``: with another desk."""

    config: Config
    writes: tuple[tuple[str, str, Any], ...] = ()
    reopen: bool = False


def place_of(config: Config, label: str) -> int:
    """Which strategy of the settings is called that, or begins so. Raises ConfigException."""
    labels = [known.lower() for known in entry_labels(config)]
    found = [place for place, known in enumerate(labels) if known == label.lower()]
    found = found or [place for place, known in enumerate(labels) if known.startswith(label.lower())]
    if len(found) != 1:
        raise ConfigException("no such strategy", key=label, allowed=", ".join(labels))
    return found[0]


@dataclass(frozen=True, slots=True)
class Planner:
    """For one proposal: the run's settings and desk, the strategies that run, and the files as they are now."""

    config: Config
    engine: LiveTradingEngine
    strategies: Mapping[str, TradingStrategy]
    manager: ConfigManager
    rehearsed: bool

    # --- one setting ----------------------------------------------------------------------------------

    def setting(self, name: str, word: str) -> Proposal:
        """Raises ConfigException."""
        key = known_key(name)
        new = read_value(word, key.info.annotation)
        filed = self.manager.load(create=False)
        plain = _beside(key, new, filed, unset=False)
        self.manager.put(key.file, key.loc[0], plain, dry=True)
        config = _checked(changed(self.config, key.file, key.loc[0], _beside(key, new, self.config, unset=True)))
        old, now, there = key.value(self.config), key.value(config), key.value(filed)
        if old == now == there:
            return Proposal()
        change = Change(key.file, key.name, old, now, "now", riskier(key.name, old, now))
        notes = [*limit_notes(self.engine, key.name, config), *self._rehearsal(key.file)]
        plan = Plan(config, ((key.file, key.loc[0], plain),))
        return Proposal((change,), (), tuple(notes), (old, now, there), plan)

    # --- one strategy ---------------------------------------------------------------------------------

    def capital(self, place: int, word: str) -> Proposal:
        """Rupees a rung of its own, or the common ones again. Raises ConfigException."""
        old = self.config.trading.strategies[place].capital_per_position
        new = None if word.lower() == "default" else read_value(word, int)
        common = self.config.trading.capital_per_position
        before, after = common if old is None else old, common if new is None else new
        riskier_now = isinstance(after, int) and after > before
        change = Change(_FILE, f"{self._label(place)} capital", old, new, "now", riskier_now)
        return self.of_strategy(place, {"capital_per_position": new}, change)

    def parameter(self, place: int, key: str, word: str) -> Proposal:
        """Raises ConfigException."""
        given = self.config.trading.strategies[place]
        strategy = self.strategies[given.name]
        info = strategy.params.model_fields.get(key)
        params = {**given.params, key: read_value(word, info.annotation) if info is not None else word}
        if info is not None and word.lower() == "default":
            del params[key]
        before, after = parse_params(strategy, given.params), parse_params(strategy, params)
        change = parameter_change(f"{self._label(place)} {key}", key, strategy, before, after)
        return self.of_strategy(place, {"params": params}, change)

    def of_strategy(self, place: int, update: Mapping[str, Any], change: Change) -> Proposal:
        """One strategy with one thing of its own otherwise. Raises ConfigException, StrategyException."""
        filed = self.manager.load(create=False)
        raws, there = raw_strategies(filed, self.config, place)
        self._put_in(raws[there], update, change)
        self.manager.put(_FILE, "strategies", raws, dry=True)
        config = _checked(with_strategy(self.config, place, update))
        if change.old == change.new and filed.trading.strategies[there] == config.trading.strategies[place]:
            return Proposal()
        self._dry_run(config, place)
        reopen = change.effect == "reopen"
        return Proposal(
            (change,), self._against(reopen), (*self._notes(config, place, change), *self._rehearsal(_FILE)),
            (change.key, repr(change.old), repr(change.new), repr(raws[there])),
            Plan(config, ((_FILE, "strategies", raws),), reopen),
        )  # fmt: skip

    def _put_in(self, raw: dict[str, Any], update: Mapping[str, Any], change: Change) -> None:
        """Of parameters only the changed one: the file may hold others that are not in force yet, with which it must
        go together too."""
        if "params" not in update:
            raw.update(update)
            return
        name, params = change.key.rpartition(" ")[2], update["params"]
        raw["params"] = {**raw.get("params", {}), name: params.get(name)}
        if name not in params:
            del raw["params"][name]
        parse_params(self.strategies[raw["name"]], raw["params"])

    # --- the files ------------------------------------------------------------------------------------

    def files(self, *, phone: bool) -> Proposal:
        """All that they say otherwise. Raises ConfigException, StrategyException."""
        filed = self.manager.load(create=False)
        folder = setup.user_strategies(filed, self.manager.config_dir)
        found = compare(self.config, filed, self.strategies, rehearsed=self.rehearsed, folder=folder, phone=phone)
        config = _checked(found.config)
        at_once = [one.key for one in found.changes if one.effect == "now"]
        notes = [note for key in at_once for note in limit_notes(self.engine, key, config)]
        for place in found.places:
            self._dry_run(config, place)
            own = [one for one in found.changes if one.key.startswith(f"{self._label(place)} ")]
            notes += [note for one in own for note in self._notes(config, place, one)]
        reopen = any(change.effect == "reopen" for change in found.changes)
        plan = Plan(config, (), reopen)
        return Proposal(
            tuple(found.changes), self._against(reopen), tuple(dict.fromkeys(notes)), repr(found.changes), plan
        )

    # --- steps ----------------------------------------------------------------------------------------

    def _label(self, place: int) -> str:
        return entry_labels(self.config)[place]

    def _against(self, reopen: bool) -> tuple[str, ...]:
        return tuple(in_the_way(self.engine)) if reopen else ()

    def _notes(self, config: Config, place: int, change: Change) -> list[str]:
        strategy = self.strategies[config.trading.strategies[place].name]
        return strategy_notes(self.engine, config, strategy, place, change)

    def _rehearsal(self, file: str) -> Sequence[str]:
        if not self.rehearsed:
            return ()
        return (t("This is a rehearsal, and {file} is not: what is written holds for later starts too.", file=file),)

    def _dry_run(self, config: Config, place: int) -> None:
        """A window longer than the rings is found now, not by the desk that is opened with it."""
        given = config.trading.strategies[place]
        params = parse_params(self.strategies[given.name], given.params)
        rows = [replace(row, params=params) for row in self.engine.table if row.entry == place][:1]
        setup.dry_run(self.engine.kernel, rows, self.strategies, config)


def _beside(key: Key, new: Any, config: Config, *, unset: bool) -> Any:
    """The plain value of the outermost key with the new one in it. ``unset``: with what nobody has set, too."""
    if len(key.loc) == 1:
        return new
    part = getattr(getattr(config, key.file.removesuffix(".json")), key.loc[0])
    return {**part.model_dump(mode="json", exclude_unset=not unset), key.loc[1]: new}


def _checked(config: Config) -> Config:
    """Past every rule that spans fields and files. Raises ConfigException."""
    fault = first_fault(config)
    if fault is not None:
        raise as_exception(fault, fault.file)
    return config
