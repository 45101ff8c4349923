"""/close: a rung, all rungs of a symbol, or a part of one, out by a human's command.

Asked back first; on the disk before anything is done. The whole of a rung leaves like every exit: its resting order
is turned into the exit. A part waits until the stop has given way, see ``trading.part``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.lang import t
from otrade_bot.core.model import OrderType
from otrade_bot.core.money import rupees_text
from otrade_bot.kernel import state as abi
from otrade_bot.trading.levels import kept_note, named, open_lives
from otrade_bot.trading.part import close_data
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.snapshot import Amount, Wish

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["close", "close_wish"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What of one rung is to go; ``quantity`` 0: all of it, also what is still being bought."""

    life: RungLife
    quantity: int


def close_wish(engine: LiveTradingEngine, symbol: str, rung: int, amount: Amount) -> Wish:
    """What /close would do. ``rung`` 0: all of the symbol's. Raises CommandException where it cannot be done."""
    pieces = _pieces(engine, symbol, rung, amount)
    shown = tuple((p.life.row, p.life.rung, p.life.cycle, p.life.held, p.quantity) for p in pieces)
    return Wish(symbol, "\n".join(_words(engine, piece) for piece in pieces), shown)


def close(engine: LiveTradingEngine, symbol: str, rung: int, amount: Amount, by: str) -> str:
    """Do it; says what was begun. Raises CommandException."""
    pieces = _pieces(engine, symbol, rung, amount)
    return "\n".join([*(_close(engine, piece, by) for piece in pieces), kept_note(engine)]).strip()


def _close(engine: LiveTradingEngine, piece: _Piece, by: str) -> str:
    life, name, held = piece.life, _name(engine, piece.life), piece.life.held
    whole, sold = not piece.quantity, piece.life.parted
    life.part += piece.quantity
    life.part_ns = engine.clock.now_ns()
    what = "all of it" if whole else f"{piece.quantity} of {life.held}"
    engine.emit(Event(
        EventKind.CLOSE, engine.clock.now_ns(), engine.manager.symbol(life), f"{name}: {what} closed by {by}",
        data={**close_data(life, whole=whole), "quantity": piece.quantity or life.held, "by": by},
    ))  # fmt: skip
    if whole:
        engine.exit_row(life.row, life.rung, abi.R_COMMAND)
        if not held:
            return t("{name}: its entry is being cancelled; what has filled meanwhile is closed.", name=name)
        if life.closed:
            return t("{name}: {n} closed.", name=name, n=held)
        return t("{name}: {n} on their way out; the fill is told.", name=name, n=held)
    engine.post(lambda: engine.manager.converge(life))
    if life.parted - sold >= piece.quantity:
        return t("{name}: {n} of {held} closed.", name=name, n=piece.quantity, held=held)
    if not life.parting:
        return t("{name}: nothing was sent; why not has been told.", name=name)
    return t(
        "{name}: {n} of {held} on their way out. First the stop gives way, then they go; the others keep theirs.",
        name=name, n=piece.quantity, held=held,
    )  # fmt: skip


# --- what can be closed -------------------------------------------------------------------------------------------


def _pieces(engine: LiveTradingEngine, symbol: str, rung: int, amount: Amount) -> list[_Piece]:
    one = bool(rung) or isinstance(amount, int)  # a number of shares of several rungs would be anybody's guess
    lives = [named(engine, symbol, rung)] if one else open_lives(engine, symbol)
    free = [life for life in lives if life.wanted is None]
    if not free:
        leaving = ", ".join(_name(engine, life) for life in lives)
        raise CommandException(t("{name} is being closed already ({why}).", name=leaving, why=lives[0].reason))
    if amount == "all":
        return [_Piece(life, 0) for life in free]
    return [_part(engine, life, amount) for life in free]


def _part(engine: LiveTradingEngine, life: RungLife, amount: Amount) -> _Piece:
    name, lot = _name(engine, life), engine.table[life.row].instrument.lot
    if amount != "half" and amount == life.held and not life.entering:
        return _Piece(life, 0)
    quantity = life.held // 2 // lot * lot if amount == "half" else int(amount)
    _check_part(engine, life)
    if amount == "half" and quantity <= 0:
        raise CommandException(t("{name}: {n} cannot be halved. /close closes all of it.", name=name, n=life.held))
    if quantity <= 0 or quantity >= life.held:
        raise CommandException(t("{name}: {n} are held; a part is fewer than that.", name=name, n=life.held))
    if quantity % lot:
        raise CommandException(t("{name}: {n} is no multiple of the lot size {lot}.", name=name, n=quantity, lot=lot))
    return _Piece(life, quantity)


def _check_part(engine: LiveTradingEngine, life: RungLife) -> None:
    """While anything of the rung is on its way, only all of it can be closed."""
    name, now = _name(engine, life), engine.clock.now_ns()
    if life.stopped:
        raise CommandException(t("{name}: its stop has gone off and closes it.", name=name))
    if life.entering or life.held <= 0:
        raise CommandException(t("{name} is still being bought: a part can be closed once that has ended.", name=name))
    if life.parting or any(order.part and order.live for order in life.exits):
        raise CommandException(t("{name}: a part of it is on its way out already.", name=name))
    if any(order.unknown for order in life.exits) or (life.gtt is not None and life.gtt.unknown):
        raise CommandException(
            t("{name}: an order of it is in doubt; no part can be closed until that has ended.", name=name)
        )
    closed = engine.market_fault(engine.table[life.row].instrument, OrderType.LIMIT, now)
    if closed:
        raise CommandException(t("{name}: no part can be closed now ({why}).", name=name, why=closed))
    if engine.table[life.row].ltp <= 0:
        raise CommandException(t("{name}: no price of it is known yet.", name=name))


# --- words --------------------------------------------------------------------------------------------------------


def _name(engine: LiveTradingEngine, life: RungLife) -> str:
    return f"{engine.manager.symbol(life)} P{life.rung + 1}"


def _words(engine: LiveTradingEngine, piece: _Piece) -> str:
    life, ltp = piece.life, engine.table[piece.life.row].ltp
    name, price = _name(engine, life), rupees_text(ltp) if ltp else t("not known")
    if not life.held:
        return t("{name}: its entry is cancelled.", name=name)
    quantity = piece.quantity or life.held
    cost = life.entry_value - life.entry_value * life.exited // life.entered
    gain = int(life.side) * (quantity * ltp - cost * quantity // life.held)
    result = rupees_text(gain, sign=True) if ltp else t("not known")
    if not piece.quantity:
        return t("{name}: all {n} at the market, last price {price}, result about {result} before charges.",
                 name=name, n=quantity, price=price, result=result)  # fmt: skip
    return t(
        "{name}: {n} of {held} at the market, last price {price}, result about {result} before charges. "
        "The other {rest} keep their stop at {stop}.",
        name=name, n=quantity, held=life.held, price=price, result=result, rest=life.held - quantity,
        stop=rupees_text(life.level),
    )  # fmt: skip
