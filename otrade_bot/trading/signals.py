"""What strategies saw and asked for today, and what became of it: taken from events alone, as they come or as the
day's journal has kept them. Nothing here is ever worked out again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.model import Side
from otrade_bot.trading.snapshot import Evaluation, SignalView

__all__ = ["KINDS", "SignalBook", "evaluation_of"]

#: So many signals of a day are kept, so many looks and refusals of a symbol.
MOST, LOOKS = 2000, 50
#: Kinds of events that are taken in.
KINDS = frozenset({
    EventKind.SIGNAL, EventKind.APPROVAL, EventKind.REFUSAL, EventKind.ORDER, EventKind.FILL, EventKind.TRADE,
    EventKind.EVALUATION,
})  # fmt: skip
#: A refusal belongs to a signal that nothing has come of yet.
_OPEN = ("new", "waiting", "approved")
Data = Mapping[str, Any]


@dataclass(slots=True)
class SignalBook:
    """``take`` is an observer of events."""

    signals: dict[int, SignalView] = field(default_factory=dict)  #: by number, oldest first
    looks: dict[str, deque[Evaluation]] = field(default_factory=dict)
    refusals: dict[str, deque[tuple[int, str]]] = field(default_factory=dict)
    _newest: dict[tuple[str, int], int] = field(default_factory=dict)  #: number of a rung's last signal
    _count: int = 0

    def take(self, event: Event) -> None:
        """Note what an event says of a signal."""
        if event.kind is EventKind.EVALUATION:
            self.looks.setdefault(event.symbol, deque(maxlen=LOOKS)).append(evaluation_of(event))
        elif event.kind is EventKind.SIGNAL:
            self._signal(event)
        elif event.kind in _TAKERS:
            _TAKERS[event.kind](self, event, self._of(event))

    def take_all(self, events: Iterable[Event]) -> None:
        """What a journal has kept. Lines that say something else than expected are passed over."""
        for event in events:
            try:
                self.take(event)
            except (KeyError, TypeError, ValueError):
                continue

    def views(self, seconds: Callable[[str], float]) -> list[SignalView]:
        """Newest last. ``seconds(ref)``: how long an answer still counts; one that nobody waits for is lost."""
        return [self._as_it_is(one, seconds) for one in self.signals.values()]

    def _as_it_is(self, one: SignalView, seconds: Callable[[str], float]) -> SignalView:
        if one.state != "waiting":
            return one
        left = seconds(one.ref)
        return replace(one, seconds=left) if left else replace(one, state="lost")

    def _signal(self, event: Event) -> None:
        data, ref = event.data, str(event.data.get("ref", ""))
        self._count += 1
        self.signals[self._count] = SignalView(
            event.ts_ns, event.symbol, str(data["strategy"]), int(data["rung"]), Side[data["side"]],
            int(data["quantity"]), int(data["price_paise"]), int(data["stop_paise"]), int(data["target_paise"]),
            "waiting" if ref else "new", ref=ref,
        )  # fmt: skip
        self._newest[event.symbol, int(data["rung"])] = self._count
        while len(self.signals) > MOST:
            del self.signals[next(iter(self.signals))]

    def _of(self, event: Event) -> int:
        """The number of the signal that an event is about, 0 where none is known."""
        number = self._newest.get((event.symbol, int(event.data.get("rung", 1))), 0)
        return number if number in self.signals else 0

    def _change(self, number: int, **changes: Any) -> None:
        self.signals[number] = replace(self.signals[number], **changes)

    def _approved(self, event: Event, number: int) -> None:
        if number and self.signals[number].state == "waiting":
            self._change(number, state="approved", by=str(event.data.get("by", "")))

    def _refused(self, event: Event, number: int) -> None:
        reason = str(event.data.get("reason", ""))
        self.refusals.setdefault(event.symbol, deque(maxlen=LOOKS)).append((event.ts_ns, reason))
        if number and self.signals[number].state in _OPEN and not event.data.get("again"):
            self._change(number, state="refused", reason=reason)

    def _order(self, event: Event, number: int) -> None:
        """A part of an order that is refused says nothing of the others."""
        data = event.data
        if data.get("leg") != "entry" or not number or self.signals[number].filled:
            return
        status = str(data.get("status", ""))
        state = status if status in ("rejected", "cancelled") else "sent"
        self._change(number, state=state, reason=str(data.get("reason", "")))

    def _filled(self, event: Event, number: int) -> None:
        data = event.data
        if data.get("leg") == "entry" and number:
            filled, value = int(data["quantity"]), int(data["value_paise"])
            if filled >= self.signals[number].filled:
                self._change(number, state="bought", filled=filled, value=value, reason="")

    def _traded(self, event: Event, number: int) -> None:
        if number and not event.data.get("part"):  # the rest of it is still held
            data = event.data
            self._change(number, state="closed", net=int(data["net_paise"]), reason=str(data.get("exit_reason", "")))


_TAKERS: Mapping[EventKind, Callable[[SignalBook, Event, int], None]] = {
    EventKind.APPROVAL: SignalBook._approved,
    EventKind.REFUSAL: SignalBook._refused,
    EventKind.ORDER: SignalBook._order,
    EventKind.FILL: SignalBook._filled,
    EventKind.TRADE: SignalBook._traded,
}


def evaluation_of(event: Event) -> Evaluation:
    """A look as its event has it. Raises KeyError, TypeError or ValueError for what is none."""
    data = event.data
    return Evaluation(
        event.ts_ns, event.symbol, str(data["strategy"]), bool(data["buy"]), bool(data["sell"]),
        tuple((str(name), _number(value)) for name, value in data["values"].items()),
        tuple((str(words), bool(met)) for words, met in data.get("conditions", {}).items()),
        int(data.get("ltp_paise", 0)), _number(data.get("close", 0.0)), int(data.get("bars", 0)),
    )  # fmt: skip


def _number(value: Any) -> float:
    """JSON has no NaN: it stands there as null."""
    return float("nan") if value is None else float(value)
