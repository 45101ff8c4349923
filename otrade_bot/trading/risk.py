"""The last gate before a broker. What only a broker or the moment can tell is checked here; limits that
shape trades live in the kernel. Nothing can be sent that is not ``Approved``, and only the gate makes one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, replace

from otrade_bot.core.clock import SECOND
from otrade_bot.core.errors import RiskException
from otrade_bot.core.model import Instrument, OrderRequest, OrderType, Refused
from otrade_bot.core.money import Paise, rupees_text

__all__ = ["Approved", "Quote", "RiskLimits", "RiskManager"]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Approved:
    """A request that passed the gate. Only ``RiskManager`` can make one."""

    request: OrderRequest
    seal: InitVar[object] = None  # not a field, so ``dataclasses.replace`` cannot carry it over

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise RiskException("an order can be approved by the risk gate alone")


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Money in paise, times in ns; 0 switches a limit off."""

    max_quantity: int = 0
    max_value: Paise = 0
    band_percent: float = 5.0
    stale_ns: int = 10 * SECOND
    duplicate_ns: int = 1 * SECOND


@dataclass(frozen=True, slots=True)
class Quote:
    """What the gate knows of the market at the moment of sending."""

    ltp: Paise
    ts_ns: int


@dataclass(slots=True)
class RiskManager:
    """``market(instrument, order_type, ns)`` answers '' or why the exchange takes no such order now;
    ``funds()`` the rupees (in paise) that the broker would let us use, None where it is not known."""

    limits: RiskLimits
    market: Callable[[Instrument, OrderType, int], str]
    funds: Callable[[], Paise | None] = lambda: None
    _recent: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def entry(
        self, request: OrderRequest, quote: Quote, now: int, rung: int, tag: Callable[[], str]
    ) -> list[Approved] | Refused:
        """Approve an entry, sliced where it exceeds the freeze quantity, each slice with a tag of its own;
        or say in words why not."""
        code, reason = self._entry_fault(request, quote, now, rung)
        if code:
            return Refused(reason, code)
        self._recent[request.instrument.symbol, int(request.side), rung] = now
        parts = slices(request.quantity, request.instrument)
        return [self._seal(replace(request, quantity=quantity, tag=tag())) for quantity in parts]

    def objection(self, request: OrderRequest, quote: Quote, now: int, rung: int) -> Refused | None:
        """Why an entry would be refused now; nothing is approved by it."""
        code, reason = self._entry_fault(request, quote, now, rung)
        return Refused(reason, code) if code else None

    def exit(self, request: OrderRequest, held: int, now: int) -> Approved | Refused:
        """Approve an order that reduces: never for more than is held, never in a closed market; no other
        limit stands between a position and its exit."""
        if request.quantity <= 0 or request.quantity > held:
            return Refused(f"{request.quantity} to exit but {held} held", "exceeds_position")
        closed = self.market(request.instrument, request.order_type, now)
        return Refused(closed, "market") if closed else self._seal(request)

    def _seal(self, request: OrderRequest) -> Approved:
        return Approved(request, _SEAL)

    def _entry_fault(self, request: OrderRequest, quote: Quote, now: int, rung: int) -> tuple[str, str]:
        checks = (
            self._instrument_fault(request),
            self._size_fault(request, quote),
            self._price_fault(request, quote, now),
            self._moment_fault(request, now, rung),
            self._money_fault(request, quote),
        )
        return next((fault for fault in checks if fault[0]), ("", ""))

    def _instrument_fault(self, request: OrderRequest) -> tuple[str, str]:
        instrument = request.instrument
        if not instrument.tradable:
            return "untradable", f"{instrument.symbol} is an index: it can only be watched"
        if request.quantity <= 0 or request.quantity % instrument.lot:
            return "lot", f"{request.quantity} is not a multiple of the lot size {instrument.lot}"
        for what, price in (("price", request.price), ("trigger", request.trigger)):
            if price % instrument.tick:
                return "tick", f"{what} {rupees_text(price)} is not on the tick size {rupees_text(instrument.tick)}"
        return "", ""

    def _size_fault(self, request: OrderRequest, quote: Quote) -> tuple[str, str]:
        limits = self.limits
        if limits.max_quantity and request.quantity > limits.max_quantity:
            return "quantity", f"quantity {request.quantity} is above the limit of {limits.max_quantity} an order"
        value = request.quantity * (request.price or quote.ltp)
        if limits.max_value and value > limits.max_value:
            return "value", f"order value {rupees_text(value)} is above the limit of {rupees_text(limits.max_value)}"
        return "", ""

    def _price_fault(self, request: OrderRequest, quote: Quote, now: int) -> tuple[str, str]:
        if quote.ltp <= 0:
            return "no_price", "no price has been seen yet"
        age = now - quote.ts_ns
        if self.limits.stale_ns and age > self.limits.stale_ns:
            return "stale", f"the last price is {age / SECOND:.0f} s old, limit {self.limits.stale_ns / SECOND:.0f} s"
        away = abs(request.price - quote.ltp) * 100 / quote.ltp if request.price else 0.0
        if self.limits.band_percent and away > self.limits.band_percent:
            return "band", f"price is {away:.1f} % from the LTP, limit {self.limits.band_percent:g} %"
        return "", ""

    def _moment_fault(self, request: OrderRequest, now: int, rung: int) -> tuple[str, str]:
        closed = self.market(request.instrument, request.order_type, now)
        if closed:
            return "market", closed
        last = self._recent.get((request.instrument.symbol, int(request.side), rung))
        if last is not None and now - last < self.limits.duplicate_ns:
            return "duplicate", "the same order was sent a moment ago"
        return "", ""

    def _money_fault(self, request: OrderRequest, quote: Quote) -> tuple[str, str]:
        available = self.funds()
        need = request.quantity * (request.price or quote.ltp)
        if available is not None and need > available * MARGIN_LEVERAGE[request.product.intraday]:
            return "unaffordable", f"{rupees_text(need)} needed, {rupees_text(available)} available"
        return "", ""


#: The most that brokers lend: five times for intraday equity, nothing for delivery.
MARGIN_LEVERAGE = {True: 5, False: 1}


def slices(quantity: int, instrument: Instrument) -> list[int]:
    """Quantities of at most the freeze quantity, in whole lots, that add up to ``quantity``."""
    most = freeze_lots(instrument)
    if most == 0 or quantity <= most:
        return [quantity]
    full, rest = divmod(quantity, most)
    return [most] * full + ([rest] if rest else [])


def freeze_lots(instrument: Instrument) -> int:
    """The largest quantity of one order in whole lots, at least one lot; 0 = no limit known."""
    if instrument.freeze <= 0:
        return 0
    return max(1, instrument.freeze // instrument.lot) * instrument.lot
