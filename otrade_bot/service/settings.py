"""Settings changed by command: the file first, then the desk, then everybody is told.

A process that is killed in between starts with the file. Limits, sizes and switches hold at once; what goes into
indicators wants the desk opened again, which rebuilds them from history; the rest waits for the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from otrade_bot.config import Config, ConfigManager, config_dir, environment
from otrade_bot.config.changes import KEYS, value_text
from otrade_bot.config.explain import allowed_at
from otrade_bot.config.models import StrategyConfig, User
from otrade_bot.control.settings_desk import Change, Knob, Proposal, StrategyState
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.service.settings_judge import cold, few
from otrade_bot.service.settings_plan import Plan, Planner, place_of
from otrade_bot.strategies.loader import parse_params
from otrade_bot.trading.adopt import adopt, entry_labels, tables_of

if TYPE_CHECKING:
    from otrade_bot.service.app import Service
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["AGAIN", "Settings"]

#: Why a desk is opened again.
AGAIN = "new settings"


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
        strategy = self._service.opener.strategies[given.name]
        params = parse_params(strategy, given.params)
        return [
            Knob("trading.json", name, getattr(params, name), allowed_at(strategy.params, (name,)),
                 info.description or "", name not in given.params)
            for name, info in strategy.params.model_fields.items()
        ]  # fmt: skip

    # --- what would be --------------------------------------------------------------------------------

    def proposed(self, key: str, value: str) -> Proposal:
        return self._planner.setting(key, value)

    def switched(self, label: str, on: bool) -> Proposal:
        place = place_of(self.config, label)
        old = self.config.trading.strategies[place].enabled
        change = Change("trading.json", f"{entry_labels(self.config)[place]} enabled", old, on)
        return self._planner.of_strategy(place, {"enabled": on}, change)

    def parameter(self, label: str, key: str, value: str) -> Proposal:
        place = place_of(self.config, label)
        return self._planner.capital(place, value) if key == "capital" else self._planner.parameter(place, key, value)

    def reloaded(self) -> Proposal:
        return self._planner.files(phone=self.people is not None)

    @property
    def _planner(self) -> Planner:
        service, rehearsed = self._service, self._service.setting.rehearsal is not None
        return Planner(self.config, self._engine, service.opener.strategies, self._manager(), rehearsed)

    # --- doing it -------------------------------------------------------------------------------------

    def apply(self, proposal: Proposal, by: str) -> str:
        plan, path = proposal.plan, ""
        assert isinstance(plan, Plan)
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
