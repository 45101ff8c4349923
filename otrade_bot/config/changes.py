"""Which settings may be changed by a command while it runs, what may be typed for them, and which way is riskier."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple, get_args

import orjson
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from otrade_bot.config.explain import allowed_at, dotted, explain
from otrade_bot.config.manager import as_documents
from otrade_bot.config.models import FILES, Approval, Config, RiskConfig, TradingConfig
from otrade_bot.core.errors import ConfigException
from otrade_bot.core.money import group_indian

__all__ = ["KEYS", "Key", "changed", "known_key", "read_value", "riskier", "value_text"]


class Key(NamedTuple):
    """A setting: its file, the path in it, and what it is for."""

    file: str
    loc: tuple[str, ...]
    info: FieldInfo

    @property
    def name(self) -> str:
        return dotted(self.loc)

    @property
    def allowed(self) -> str:
        return allowed_at(FILES[self.file], self.loc)

    def value(self, config: Config) -> Any:
        """What it is in these settings."""
        found: Any = getattr(config, self.file.removesuffix(".json"))
        for part in self.loc:
            found = getattr(found, part)
        return found


def _keys() -> Iterator[Key]:
    for name, info in RiskConfig.model_fields.items():
        yield Key("risk.json", (name,), info)
    for name in ("capital_per_position", "max_positions"):
        yield Key("trading.json", (name,), TradingConfig.model_fields[name])
    for name, info in Approval.model_fields.items():
        yield Key("trading.json", ("approval", name), info)


#: By the name that is typed.
KEYS = {key.name: key for key in _keys()}

#: More of it may cost more; of some 0 means without a limit, which is most of all.
_MORE = frozenset(
    "total_capital daily_loss_limit max_trades_per_day reject_storm max_order_quantity max_order_value "
    "price_band_percent stale_price_seconds spike_percent trail_step_percent trail_interval_seconds "
    "capital_per_position max_positions".split()
)
_OFF_AT_0 = frozenset(
    "daily_loss_limit max_trades_per_day reject_storm max_order_quantity max_order_value price_band_percent "
    "spike_percent".split()
)
#: Less of it may cost more.
_LESS = frozenset(
    "cooldown_seconds reject_cooldown_seconds reject_storm_seconds spike_confirmations duplicate_window_seconds "
    "daily_loss_flatten approval.ask".split()
)


def riskier(name: str, old: Any, new: Any) -> bool:
    """More may be lost with the new value than with the old one; what is not known counts as riskier."""
    if old == new or name == "approval.seconds":
        return False
    if name == "approval.unanswered":
        return bool(new == "enter")
    if name in _MORE:
        return _size(name, new) > _size(name, old)
    return bool(new < old) if name in _LESS else True


def _size(name: str, value: float) -> float:
    return float("inf") if value == 0 and name in _OFF_AT_0 else float(value)


def known_key(word: str) -> Key:
    """By its name, or a part of it that no other one has. Raises ConfigException with the nearest ones."""
    within = [word.lower()] if word.lower() in KEYS else [name for name in KEYS if word.lower() in name]
    if len(within) == 1:
        return KEYS[within[0]]
    near = within[:3] or difflib.get_close_matches(word.lower(), list(KEYS), n=1, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ConfigException("is no setting that can be changed here", key=word, allowed=f"{hint}/set lists them")


_YES, _NO = frozenset("on true yes 1".split()), frozenset("off false no 0".split())


def read_value(word: str, kind: Any) -> Any:
    """What a person typed as the JSON value of a field of that type: '2,40,000' -> 240000, 'on' -> true. What is of
    another kind stays text, which the model refuses in its own words."""
    plain = word.replace(",", "").replace("_", "").removeprefix("₹").removesuffix("%").strip()
    if bool in (kind, *get_args(kind)):
        return True if plain.lower() in _YES else False if plain.lower() in _NO else word
    for number in (int, float):
        if number in (kind, *get_args(kind)):
            try:
                return number(plain)
            except ValueError:
                continue
    return _plain_json(word) if kind not in (str,) and not get_args(kind) else word


def _plain_json(word: str) -> Any:
    try:
        return orjson.loads(word)
    except orjson.JSONDecodeError:
        return word


def changed(config: Config, file: str, key: str, value: Any) -> Config:
    """The settings with one outermost key of one file at another JSON value; not checked against the other files.
    Raises ConfigException."""
    model: type[BaseModel] = FILES[file]
    document = {**as_documents(config)[file], key: value}
    try:
        part = model.model_validate_json(orjson.dumps(document))
    except ValidationError as error:
        raise explain(error, model, file, file, None) from error
    parts: dict[str, Any] = {file.removesuffix(".json"): part}
    return replace(config, **parts)


def value_text(value: Any) -> str:
    """As a person reads it: 240000 -> '2,40,000', true -> 'on'."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return group_indian(value)
    if isinstance(value, float | Decimal):
        return f"{value:g}"
    return "none" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
