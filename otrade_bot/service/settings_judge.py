"""What a changed setting would do at this moment: when it holds, what stands against it, what to know before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from otrade_bot.config.models import Config
from otrade_bot.control.settings_desk import Change, Effect
from otrade_bot.control.words import symbol_text
from otrade_bot.core.lang import t
from otrade_bot.core.model import Block
from otrade_bot.core.money import rupees_text, to_paise
from otrade_bot.strategies.base import StrategyParams
from otrade_bot.strategies.loader import TradingStrategy, parse_params
from otrade_bot.strategies.shaping import shaping
from otrade_bot.trading.table import Row

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["cold", "few", "in_the_way", "limit_notes", "parameter_change", "strategy_notes"]


def parameter_change(
    name: str, key: str, strategy: TradingStrategy, before: StrategyParams, after: StrategyParams
) -> Change:
    """One parameter, by what the strategy makes of it."""
    old, new = getattr(before, key), getattr(after, key)
    effect: Effect = "now"
    if key in shaping(strategy):
        effect = "reopen"
    elif before.rung_table() != after.rung_table():
        effect = "flat"
    return Change("trading.json", name, old, new, effect, _riskier(before, after))


def _riskier(before: StrategyParams, after: StrategyParams) -> bool:
    """A rung may lose more, there is one more, or what could not be sold short can."""
    old, new = before.rung_table(), after.rung_table()
    wider = any(b.stop > a.stop or (a.trail and not b.trail) for a, b in zip(old, new, strict=False))
    return wider or len(new) > len(old) or (after.short and not before.short)


def in_the_way(engine: LiveTradingEngine) -> list[str]:
    """Why the desk should not be opened again now. What is merely on its way is waited for."""
    found = []
    if engine.flattener.waits:
        found.append(t("a flatten is queued or under way: wait for its end"))
    if engine.in_doubt:
        found.append(t("nobody knows what became of an order: wait, see /orders"))
    if engine.unread or Block.RECOVERY in engine.blocks:
        found.append(t("what is held is not known: wait until the broker's books can be read, see /health"))
    return found


def few(names: Iterable[str]) -> str:
    """The first eight, and how many more."""
    known = list(names)
    more = f" +{len(known) - 8}" if len(known) > 8 else ""
    return ", ".join(known[:8]) + more


def cold(engine: LiveTradingEngine, rows: Iterable[Row], needed: int = 0) -> list[tuple[str, int, int]]:
    """(symbol, closed bars, bars needed) of rows that have not seen enough; ``needed`` 0: as they are now."""
    found = []
    for row in rows:
        bars, need = int(engine.state[row.index]["bars"]), needed or int(engine.params[row.index]["warm"])
        if row.strategy and bars < need:
            found.append((symbol_text(row.instrument.symbol), bars, need))
    return found


def strategy_notes(
    engine: LiveTradingEngine, config: Config, strategy: TradingStrategy, place: int, change: Change
) -> list[str]:
    """What to know before a change of one strategy."""
    rows = [row for row in engine.table if row.entry == place]
    indexes = {row.index for row in rows}
    open_now = [life for life in engine.manager.lives.values() if life.row in indexes and not life.closed]
    names = few(dict.fromkeys(symbol_text(engine.manager.symbol(life)) for life in open_now))
    if change.key.endswith(" enabled"):
        return _switch_notes(names, change)
    found = []
    if names and change.effect in ("flat", "reopen"):
        found.append(t("Open positions keep the stops and targets they have: {names}", names=names))
    if names and change.key.endswith(" capital"):
        found.append(t("Open positions keep their size: {names}", names=names))
    if change.effect == "reopen":
        found.append(t("The desk is opened again: for some seconds no entries, stops stay at the broker."))
    if not change.key.endswith(" capital"):
        need = parse_params(strategy, config.trading.strategies[place].params).warmup()
        short = few(f"{symbol} {bars}/{of}" for symbol, bars, of in cold(engine, rows, need))
        if short:
            found.append(t("Not warm, so no entries until there are bars enough (known/needed): {names}", names=short))
    return found


def _switch_notes(names: str, change: Change) -> list[str]:
    if change.new:
        return [t("It enters again from the next bar on.")]
    said = t("It enters nothing more; an entry that is on its way may still fill.")
    kept = t("What it holds is watched on, keeps its stops and is squared off: {names}", names=names)
    return [said, kept] if names else [said]


def limit_notes(engine: LiveTradingEngine, key: str, config: Config) -> list[str]:
    """What a limit does to the day as it stands."""
    a, risk = engine.account[0], config.risk
    net = int(a["realised"] + a["unrealised"] - a["charges"])
    found = []
    if key in ("daily_loss_limit", "daily_loss_flatten"):
        found += _loss_notes(net, to_paise(risk.daily_loss_limit), risk.daily_loss_flatten, bool(a["halted"]))
    if key == "max_positions" and config.trading.max_positions < int(a["rungs"]):
        found.append(
            t("{n} rungs are open: none is closed, and no entries come before there are fewer.", n=int(a["rungs"]))
        )
    if key == "total_capital" and to_paise(risk.total_capital) < int(a["used"]):
        used = rupees_text(int(a["used"]))
        found.append(t("{used} are bound: nothing is closed, and no entries come before it is less.", used=used))
    if key == "max_trades_per_day" and 0 < risk.max_trades_per_day <= int(a["trades"]):
        found.append(t("{n} entries were made today already: there are no more.", n=int(a["trades"])))
    if key == "capital_per_position" and engine.manager.lives:
        found.append(t("Open positions keep their size; strategies with a capital of their own keep that."))
    return found


def _loss_notes(net: int, limit: int, flatten: bool, halted: bool) -> list[str]:
    over = limit > 0 and net <= -limit
    day = rupees_text(net)
    if over and flatten:
        return [t("The day stands at {net}: entries stop AND EVERYTHING IS CLOSED at once.", net=day)]
    if over:
        return [t("The day stands at {net}: entries stop at once.", net=day)] if not halted else []
    if halted:
        return [t("The day stands at {net} and had reached its limit: entries begin again.", net=day)]
    return []
