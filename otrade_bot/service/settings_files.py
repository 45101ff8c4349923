"""The settings files against the run: what differs, and what of that can hold without a start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from otrade_bot.config.changes import KEYS, riskier
from otrade_bot.config.manager import differences
from otrade_bot.config.models import Config, StrategyConfig, User
from otrade_bot.control.auth import Role
from otrade_bot.control.settings_desk import Change
from otrade_bot.control.words import symbol_text
from otrade_bot.core.errors import ConfigException
from otrade_bot.service.settings_judge import parameter_change
from otrade_bot.strategies.loader import TradingStrategy, load_strategy, parse_params
from otrade_bot.trading.adopt import entry_labels

__all__ = ["Found", "compare", "raw_strategies", "with_strategy"]

#: What a rehearsal has otherwise than its files, on purpose.
_REHEARSED = (("trading.json", "mode"), ("market.json", "special_days"))
#: Of trading.json, and of telegram.json where there is a phone, what holds at once.
_AT_ONCE = ("capital_per_position", "max_positions", "approval")
_HEARD = ("users", "notifications", "commands_per_minute")


@dataclass(slots=True)
class Found:
    """``config``: the run's settings with all that can be taken over; ``places``: of the strategies that differ."""

    config: Config
    changes: list[Change] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


def compare(
    running: Config, filed: Config, strategies: Mapping[str, TradingStrategy], *, rehearsed: bool, folder: Any = None,
    phone: bool = False,
) -> Found:  # fmt: skip
    """``folder``: of the user's own strategies; ``phone``: people and their notifications can be taken over. Raises
    ConfigException and StrategyException for what no start could use either."""
    _check_strategies(filed, strategies, folder)
    same = _shape(running) == _shape(filed)
    update = {name: getattr(filed.trading, name) for name in _AT_ONCE}
    if same:
        update["strategies"] = filed.trading.strategies
    found = Found(replace(running, risk=filed.risk, trading=running.trading.model_copy(update=update)))
    if phone:
        heard = {name: getattr(filed.telegram, name) for name in _HEARD}
        found.config = replace(found.config, telegram=running.telegram.model_copy(update=heard))
    for file, key, old, new in differences(running, filed):
        if rehearsed and any(file == own and key.startswith(name) for own, name in _REHEARSED):
            continue
        if (file, key) == ("trading.json", "strategies") and same:
            _strategies(found, running, filed, strategies)
        elif key in KEYS and KEYS[key].file == file:
            found.changes.append(Change(file, key, old, new, "now", riskier(key, old, new)))
        elif phone and file == "telegram.json" and key.split(".")[0] in _HEARD:
            found.changes.append(_heard(key, old, new, running.telegram.users, filed.telegram.users))
        elif (file, key) == ("trading.json", "strategies"):
            found.changes += _other_rows(running, filed)
        else:
            found.changes.append(Change(file, key, old, new, "restart"))
    found.changes += _edited(strategies)
    return found


def _edited(strategies: Mapping[str, TradingStrategy]) -> list[Change]:
    """Files of strategies whose code is not what runs."""
    found = []
    for strategy in strategies.values():
        try:
            same = strategy.path.read_text(encoding="utf-8") == strategy.source.source
        except (OSError, UnicodeDecodeError):
            same = False
        if not same:
            found.append(Change(strategy.path.name, strategy.name, "the code of this run", "edited", "restart"))
    return found


def _other_rows(running: Config, filed: Config) -> list[Change]:
    """Strategies that came, went, or trade something else or otherwise: each in words."""
    was, now = _entries(running), _entries(filed)
    found = [
        Change("trading.json", label, _words(was.get(label)), _words(now.get(label)), "restart")
        for label in dict.fromkeys((*was, *now)) if _words(was.get(label)) != _words(now.get(label))
    ]  # fmt: skip
    rest = Change("trading.json", "strategies", "as in this run", "edited", "restart")
    return found or [rest]


def _entries(config: Config) -> dict[str, StrategyConfig]:
    return dict(zip(entry_labels(config), config.trading.strategies, strict=True))


def _words(given: StrategyConfig | None) -> str | None:
    return None if given is None else f"{given.timeframe}: {', '.join(map(symbol_text, given.instruments))}"


def _heard(key: str, old: Any, new: Any, before: Sequence[User], after: Sequence[User]) -> Change:
    if key != "users":
        return Change("telegram.json", key, old, new)
    return Change("telegram.json", key, _names(before), _names(after), "now", _more_power(before, after))


def _names(users: Sequence[User]) -> str:
    return ", ".join(f"{one.name} ({'blocked' if one.blocked else one.role})" for one in users) or "nobody"


def _more_power(before: Sequence[User], after: Sequence[User]) -> bool:
    """Somebody may do more than before, or the same from another chat."""
    was = {(one.user_id, one.chat_id): _power(one) for one in before}
    return any(_power(one) > was.get((one.user_id, one.chat_id), 0) for one in after)


def _power(user: User) -> int:
    return 0 if user.blocked else Role.of(user.role)


def _check_strategies(filed: Config, known: Mapping[str, TradingStrategy], folder: Any) -> None:
    for given in filed.trading.strategies:
        strategy = known.get(given.name) or load_strategy(given.name, folder)
        parse_params(strategy, given.params)


def _shape(config: Config) -> list[tuple[str, tuple[str, ...], str]]:
    """What a desk's rows are made of."""
    return [(one.name, one.instruments, one.timeframe) for one in config.trading.strategies]


def _strategies(found: Found, running: Config, filed: Config, strategies: Mapping[str, TradingStrategy]) -> None:
    pairs = zip(entry_labels(running), running.trading.strategies, filed.trading.strategies, strict=True)
    for place, (label, old, new) in enumerate(pairs):
        changes = _of_one(label, old, new, strategies[old.name], running, filed)
        if changes:
            found.places.append(place)
            found.changes += changes


def _of_one(
    label: str, old: StrategyConfig, new: StrategyConfig, strategy: TradingStrategy, running: Config, filed: Config
) -> list[Change]:
    """What one strategy has otherwise."""
    found = []
    if old.enabled != new.enabled:
        found.append(Change("trading.json", f"{label} enabled", old.enabled, new.enabled))
    if old.capital_per_position != new.capital_per_position:
        before, after = (
            config.trading.capital_per_position if one.capital_per_position is None else one.capital_per_position
            for config, one in ((running, old), (filed, new))
        )
        found.append(Change("trading.json", f"{label} capital", old.capital_per_position, new.capital_per_position,
                            "now", after > before))  # fmt: skip
    before_params, after_params = parse_params(strategy, old.params), parse_params(strategy, new.params)
    differ = (n for n in strategy.params.model_fields if getattr(before_params, n) != getattr(after_params, n))
    return found + [parameter_change(f"{label} {n}", n, strategy, before_params, after_params) for n in differ]


def raw_strategies(filed: Config, running: Config, place: int) -> tuple[list[dict[str, Any]], int]:
    """The list of strategies as the file has it, nothing added, and where in it that one of the run stands. Raises
    ConfigException where the file has it otherwise."""
    wanted, there = _shape(running)[place], _shape(filed)
    if there.count(wanted) != 1:
        text = "has other instruments or another timeframe in the file than in this run: start it again first"
        raise ConfigException(text, file="trading.json", key=f"strategies {wanted[0]}")
    raws = [one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in filed.trading.strategies]
    return raws, there.index(wanted)


def with_strategy(config: Config, place: int, update: Mapping[str, Any]) -> Config:
    """The settings with one strategy changed; whoever calls has checked the values."""
    every = list(config.trading.strategies)
    every[place] = every[place].model_copy(update=update)
    return replace(config, trading=config.trading.model_copy(update={"strategies": tuple(every)}))


