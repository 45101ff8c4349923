"""Stops and targets that a human puts: they stay where they were put until they are given back (``auto``).

What is decided is on the disk before anything is done. What lowers the risk is done at once; what raises it is asked
back first (``Wish.asks``). A stop beyond the price would be an exit, which is /close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t
from otrade_bot.core.model import Block
from otrade_bot.core.money import Paise, rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.kernel.calculations import stop_level, target_level, trailing_stop
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.snapshot import LevelValue, Wish

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["Which", "kept_note", "level_wish", "named", "open_lives", "set_level"]

Which = Literal["stop", "target"]


@dataclass(frozen=True, slots=True)
class _Move:
    """One level from where it is to where it is wanted. ``level`` 0: no target."""

    life: RungLife
    which: Which
    level: Paise
    hand: bool
    before: Paise
    rounded: str  #: words about the tick size, '' where nothing was rounded


def level_wish(engine: LiveTradingEngine, symbol: str, rung: int, which: Which, value: LevelValue) -> Wish:
    """What /sl or /target would do. ``rung`` 0: the only open one. Raises CommandException where it cannot be done."""
    move = _move(engine, symbol, rung, which, value)
    life = move.life
    shown = (life.row, life.rung, life.cycle, which, move.level, move.hand, move.before, life.held)
    text = " ".join(part for part in (_change(engine, move), move.rounded, _risk(engine, move)) if part)
    return Wish(symbol, text, shown, asks=_riskier(move))


def set_level(engine: LiveTradingEngine, symbol: str, rung: int, which: Which, value: LevelValue, by: str) -> str:
    """Do it. Raises CommandException."""
    move = _move(engine, symbol, rung, which, value)
    life = move.life
    text = f"{_name(engine, life)}: {_english(move)} by {by}"
    engine.emit(Event(EventKind.LEVEL, engine.clock.now_ns(), symbol, text, data={
        "rung": life.rung + 1, "strategy": life.strategy, "cycle": life.cycle, "what": which,
        "level_paise": move.level, "hand": move.hand, "before_paise": move.before, "by": by,
    }))  # fmt: skip
    if which == "stop":
        life.hand, life.told_level = move.hand, move.level
        for order in life.exits:  # whoever says it again wants it tried again
            order.barred = 0
        if life.gtt is not None:
            life.gtt.barred = 0
    code = abi.PHASE_STOP if which == "stop" else abi.PHASE_TARGET
    engine.post(lambda: engine._kernel(
        abi.PHASE, life.row, ts=engine.clock.now_ns(), code=code, value=move.level, qty=int(move.hand),
        rung=life.rung, cycle=life.cycle,
    ))  # fmt: skip
    parts = (_change(engine, move), move.rounded, _stays(engine, move), _rests(engine, move), kept_note(engine))
    return " ".join(part for part in parts if part)


# --- which rung, which level ------------------------------------------------------------------------------------


def open_lives(engine: LiveTradingEngine, symbol: str) -> list[RungLife]:
    """Its rungs that are not over, P1 first. Raises CommandException where nothing of ours can be known or is there."""
    if Block.RECOVERY in engine.blocks and not engine.unread:  # what is decided now might be forgotten by the next one
        raise CommandException(t("The books are being read, a few seconds: say it again then."))
    if engine.unread:
        raise CommandException(t("The broker's books have not been read: what is open is not known."))
    manager = engine.manager
    lives = [life for life in manager.lives.values() if manager.symbol(life) == symbol and not life.closed]
    if not lives:
        foreign = any(name == symbol and left for (name, _), left in engine.external.items())
        hint = t("What the broker holds of it is not ours: /claim takes it over.") if foreign else ""
        raise CommandException(f"{t('Nothing of {symbol} is open.', symbol=symbol)} {hint}".strip())
    return sorted(lives, key=lambda life: life.rung)


def named(engine: LiveTradingEngine, symbol: str, rung: int) -> RungLife:
    """The rung that is meant. Raises CommandException where it is not open, or several are."""
    lives = open_lives(engine, symbol)
    names = ", ".join(f"P{life.rung + 1}" for life in lives)
    if rung:
        lives = [life for life in lives if life.rung + 1 == rung]
        if not lives:
            raise CommandException(t("P{n} of {symbol} is not open: {names}.", n=rung, symbol=symbol, names=names))
    if len(lives) > 1:
        raise CommandException(t("{symbol} has {names}: say which.", symbol=symbol, names=names))
    return lives[0]


def _move(engine: LiveTradingEngine, symbol: str, rung: int, which: Which, value: LevelValue) -> _Move:
    life = named(engine, symbol, rung)
    name = _name(engine, life)
    if life.held <= 0:
        raise CommandException(t("{name} is still being bought: it has no level to move yet.", name=name))
    if life.wanted is not None or life.stopped:
        raise CommandException(t("{name} is being closed already ({why}).", name=name, why=life.reason))
    if engine.table[life.row].ltp <= 0:
        raise CommandException(t("No price of {symbol} is known today: no level can be checked.", symbol=symbol))
    level, rounded = _wanted(engine, life, which, value)
    before = life.level if which == "stop" else int(engine.state[life.row]["target"][life.rung])
    move = _Move(life, which, level, value != "auto", before, rounded)
    _check(engine, move)
    return move


def _wanted(engine: LiveTradingEngine, life: RungLife, which: Which, value: LevelValue) -> tuple[Paise, str]:
    """The level on the tick size, and words where that is not what was said."""
    if value == "off":
        if which == "stop":
            raise CommandException(t("A position is never left without a stop: /close closes it."))
        return 0, ""
    if value == "auto":
        return _own(engine, life, which), ""
    tick = engine.table[life.row].instrument.tick
    level = (value + tick // 2) // tick * tick
    if value <= 0 or level <= 0:
        raise CommandException(t("A price above zero is wanted."))
    said = t("Rounded to the tick size of {tick}.", tick=rupees_text(tick)) if level != value else ""
    return level, said


def _own(engine: LiveTradingEngine, life: RungLife, which: Which) -> Paise:
    """Where the strategy would have it. Raises CommandException where it has no stop of its own."""
    s, p, r = engine.state[life.row], engine.params[life.row], life.rung
    filled, value = int(s["filled"][r]), int(s["entry_value"][r])
    average, side, tick = (value + filled // 2) // filled, int(life.side), int(p["tick"])
    if which == "target":
        return target_level(average, float(p["target_pct"][r]), side, tick)
    percent = float(p["stop_pct"][r])
    level = stop_level(average, percent, side, tick)
    if level and p["trail"][r]:
        level = trailing_stop(int(s["extreme"][r]), percent, side, tick, level)
    if not level:
        raise CommandException(t("The strategy has no stop of its own for {name}.", name=_name(engine, life)))
    return level


def _check(engine: LiveTradingEngine, move: _Move) -> None:
    """A level that the price has passed already would be an exit."""
    life, ltp = move.life, engine.table[move.life.row].ltp
    if not move.level:
        return
    ahead = (move.level - ltp) * int(life.side)
    if (move.which == "stop" and ahead >= 0) or (move.which == "target" and ahead <= 0):
        name, level, price = _name(engine, life), rupees_text(move.level), rupees_text(ltp)
        if move.which == "stop":
            said = t("{name}: a stop at {level} would go off at once, the price is {price}.",
                     name=name, level=level, price=price)  # fmt: skip
        else:
            said = t("{name}: the price {price} has reached {level} already.", name=name, level=level, price=price)
        raise CommandException(f"{said} {t('To leave now: /close')} {engine.manager.symbol(life)} P{life.rung + 1}")


def _riskier(move: _Move) -> bool:
    """More can be lost than before, or nothing takes the gain any more."""
    if move.which == "target":
        return not move.level and bool(move.before)
    return bool(move.before) and (move.level - move.before) * int(move.life.side) < 0


# --- words ------------------------------------------------------------------------------------------------------


def _name(engine: LiveTradingEngine, life: RungLife) -> str:
    return f"{engine.manager.symbol(life)} P{life.rung + 1}"


def _level_text(level: Paise) -> str:
    return rupees_text(level) if level else t("none")


def _change(engine: LiveTradingEngine, move: _Move) -> str:
    name, before, level = _name(engine, move.life), _level_text(move.before), _level_text(move.level)
    if move.before == move.level:
        if move.which == "stop":
            return t("{name}: stop at {level}.", name=name, level=level)
        return t("{name}: target {level}.", name=name, level=level)
    if move.which == "stop":
        return t("{name}: stop {before} → {level}.", name=name, before=before, level=level)
    return t("{name}: target {before} → {level}.", name=name, before=before, level=level)


def _english(move: _Move) -> str:
    at = rupees_text(move.level) if move.level else "none"
    before = rupees_text(move.before) if move.before else "none"
    how = "set" if move.hand else "given back to the strategy"
    return f"{move.which} {before} → {at}, {how}"


def _risk(engine: LiveTradingEngine, move: _Move) -> str:
    """What a stop further away may cost, and what the end of a target means."""
    life, price = move.life, rupees_text(engine.table[move.life.row].ltp)
    if move.which == "target":
        return t("Nothing takes the gain at a price any more; the stop stays.") if not move.level else ""
    if not _riskier(move):
        return ""
    cost = life.entry_value - life.entry_value * life.exited // life.entered
    now, then = (int(life.side) * (life.held * level - cost) for level in (move.before, move.level))
    return t(
        "Further from the price of {price}: {n} held would end at {then} instead of {now}, before charges.",
        price=price, n=life.held, then=rupees_text(then, sign=True), now=rupees_text(now, sign=True),
    )  # fmt: skip


def _stays(engine: LiveTradingEngine, move: _Move) -> str:
    if not move.hand:
        return t("It is the strategy's own again.")
    command = "/sl" if move.which == "stop" else "/target"
    back = f"{command} {engine.manager.symbol(move.life)} P{move.life.rung + 1} auto"
    return t("That holds until {back} gives it back.", back=back)


def _rests(engine: LiveTradingEngine, move: _Move) -> str:
    """Whether the broker has it already; nothing is called resting that is not."""
    life, manager = move.life, engine.manager
    if move.which == "target":
        if not move.level:
            return ""
        rests = life.gtt is not None and life.gtt.sure and life.gtt.target == move.level
        return t("It rests at the broker.") if rests else t("It is watched here.")
    stops = [o for o in life.exits if o.idle and not o.part and o.trigger]
    there = bool(stops) and all(order.trigger == move.level for order in stops)
    there = there or bool(life.gtt and life.gtt.ready and life.gtt.level == move.level)
    if there:
        return t("It rests at the broker.")
    if any(order.unknown for order in life.exits) or (life.gtt is not None and life.gtt.unknown):
        return t("An order of it is in doubt: it is moved there once that has ended.")
    if life.level != move.level:
        return t("It could not be moved: look at /positions.")
    if manager.lives.get((life.row, life.rung)) is life and life.protected:
        return t("The broker is being told; until it confirms, the old one rests there and this one is watched here.")
    return t("It is not at the broker yet: until then it is watched here.")


def kept_note(engine: LiveTradingEngine) -> str:
    """Said where a restart may not know of it."""
    return t("A restart may not know of it: the journal could not be written.") if engine.journal_fault else ""
