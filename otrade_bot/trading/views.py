"""The engine's state as frozen values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otrade_bot.core.clock import to_ist
from otrade_bot.core.model import Block, Side
from otrade_bot.core.session import Phase
from otrade_bot.kernel import state as abi
from otrade_bot.trading.rungs import RungLife
from otrade_bot.trading.snapshot import OrderView, Position, RowView, StatusView
from otrade_bot.trading.unprotected import unprotected, watched

if TYPE_CHECKING:
    from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["View"]


class View:
    """Reads the engine, changes nothing."""

    def __init__(self, engine: LiveTradingEngine) -> None:
        self.engine = engine

    def status(self) -> StatusView:
        engine, a = self.engine, self.engine.account[0]
        now, wish = engine.clock.now_ns(), engine.config.trading.approval
        newest = int(engine.deck.quotes["last_ts"][: len(engine.table)].max(initial=0))
        return StatusView(
            mode=engine.config.trading.mode,
            broker=engine.broker.name,
            feed=engine.feed,
            note=engine.note,
            now_ns=now,
            phase=str(self.phase(now)),
            paused=Block.PAUSED in engine.blocks,
            blocks=tuple(sorted(b.value for b in engine.blocks)),
            realised=int(a["realised"]),
            unrealised=int(a["unrealised"]),
            charges=int(a["charges"]),
            open_rungs=int(a["rungs"]),
            max_rungs=int(a["max_rungs"]),
            capital_used=int(a["used"]),
            total_capital=int(a["total_capital"]),
            trades=len(engine.trade_log),
            signals=engine.counters.signals,
            orders=sum(1 for order in engine.manager.orders if order.order_id),
            ticks=engine.counters.ticks,
            dropped=self.dropped(),
            feed_age_ns=max(0, now - newest) if newest else 0,
            loss_limit=int(a["loss_limit"]),
            halted=bool(a["halted"]),
            held=sum(1 for life in engine.manager.lives.values() if life.held and not life.closed),
            external=sum(1 for quantity in engine.external.values() if quantity),
            window=self.window(now),
            flatten=engine.flattener.waits,
            unread=engine.unread,
            gtts=self.gtts(),
            ask_seconds=wish.seconds if wish.ask else 0,
            unanswered=wish.unanswered if wish.ask else "",
            waiting=len(engine.approvals.waiting),
            entries=int(a["trades"]),
        )

    def gtts(self) -> tuple[str, ...]:
        """Symbols of GTTs that rest at the broker, or may."""
        manager = self.engine.manager
        alive = {manager.symbol(life) for life in manager.lives.values() if life.gtt_alive}
        return tuple(sorted(alive | {ghost.symbol for ghost in manager.guards.ghosts}))

    def window(self, now: int) -> str:
        """'' where an instrument may be entered by the clock, or nothing trades."""
        traded = [row.index for row in self.engine.table if row.strategy]
        begin, end = (self.engine.params[name][traded] for name in ("entry_from", "entry_until"))
        if not traded or bool(((begin <= now) & (now < end)).any()):
            return ""
        later = min((int(one) for one in begin if one > now), default=0)
        return f"wait for {to_ist(later):%H:%M}" if later else "are over for the day"

    def phase(self, now: int) -> Phase:
        """The phase of the instrument that trades longest."""
        sessions = self.engine.sessions.values()
        if not sessions:
            return Phase.CLOSED
        return max(sessions, key=lambda s: s.continuous_end).phase(now)

    def dropped(self) -> dict[str, int]:
        """Ticks not acted on, by reason."""
        engine = self.engine
        totals = engine.state["drops"].sum(axis=0)
        found = {name: int(n) for name, n in zip(abi.TICK_REASONS, totals, strict=True) if n and name != "used"}
        for reason, count in engine.counters.dropped.items():
            found[reason] = found.get(reason, 0) + count
        return found

    def positions(self) -> list[Position]:
        """Open rungs of ours, then what was found at the broker and is not ours."""
        ours = [self._position(life) for life in self.engine.manager.lives.values() if life.held and not life.closed]
        return [*sorted(ours, key=lambda p: (p.symbol, p.rung)), *self._external()]

    def _position(self, life: RungLife) -> Position:
        row = self.engine.table[life.row]
        left = life.entry_value - life.entry_value * life.exited // life.entered
        return Position(
            row.instrument.symbol, life.strategy, life.rung + 1, life.side, life.held, left, row.ltp, life.level,
            life.protected, life.target, life.first_fill_ns, life.wanted,
            unprotected=unprotected(life, self._phase_of(life.row)), watched=watched(life), hand_stop=life.hand,
            hand_target=bool(self.engine.state[life.row]["hand_target"][life.rung]), parting=life.parting,
        )  # fmt: skip

    def _phase_of(self, row: int) -> Phase:
        session = self.engine.sessions.get(row)
        return session.phase(self.engine.clock.now_ns()) if session else Phase.CLOSED

    def _external(self) -> list[Position]:
        found = []
        for (symbol, _), quantity in sorted(self.engine.external.items()):
            if quantity:
                index = self.engine.by_symbol.get(symbol)
                ltp = self.engine.table[index].ltp if index is not None else 0
                side = Side.BUY if quantity > 0 else Side.SELL
                size = abs(quantity)
                found.append(Position(symbol, "", 0, side, size, size * ltp, ltp, 0, False, 0, 0, None, True))
        return found

    def orders(self) -> list[OrderView]:
        engine = self.engine
        return [
            OrderView(
                o.tag, o.order_id, o.instrument.symbol, engine.table[o.row].strategy, o.rung + 1, o.leg, o.side,
                o.quantity, o.filled, o.order_type, o.price, o.trigger, o.status, o.placed_ns, o.unknown, o.reason,
            )
            for o in engine.manager.orders
        ]  # fmt: skip

    def rows(self) -> list[RowView]:
        engine = self.engine
        return [
            RowView(
                row.instrument.symbol, row.strategy, row.ltp,
                (row.ltp / row.first - 1) * 100 if row.first else 0.0,
                row.ts_ns, row.volume, int(engine.state[row.index]["bars"]), int(engine.params[row.index]["warm"]),
                row.ticks,
            )
            for row in engine.table
        ]  # fmt: skip


