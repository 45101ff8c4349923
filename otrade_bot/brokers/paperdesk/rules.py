"""What the paper exchange refuses at once, in an exchange's words. '' = nothing against it."""

from __future__ import annotations

from otrade_bot.core.model import Instrument, InstrumentKind, OrderType, Product, Side
from otrade_bot.core.money import Paise, rupees_text

__all__ = ["margin_rate", "order_fault"]

_PRICED = (OrderType.LIMIT, OrderType.SL)
_TRIGGERED = (OrderType.SL, OrderType.SL_M)
_MARKETABLE = (OrderType.MARKET, OrderType.SL_M)


def order_fault(
    instrument: Instrument, side: Side, quantity: int, kind: OrderType, price: Paise, trigger: Paise,
    protection: float, ltp: Paise, circuit: tuple[Paise, Paise],
) -> str:  # fmt: skip
    """Everything that can be said against the numbers of an order."""
    checks = (
        "" if instrument.tradable else f"{instrument.symbol} is an index and cannot be traded",
        quantity_fault(instrument, quantity),
        price_fault(instrument, kind, price, trigger, protection),
        side_fault(side, kind, price, trigger, ltp),
        circuit_fault(kind, price, circuit),
    )
    return next((fault for fault in checks if fault), "")


def quantity_fault(instrument: Instrument, quantity: int) -> str:
    if quantity <= 0:
        return "quantity must be positive"
    if quantity % instrument.lot:
        return f"quantity must be a multiple of the lot size {instrument.lot}"
    if instrument.freeze and quantity > instrument.freeze:
        return f"quantity exceeds the freeze quantity {instrument.freeze}"
    return ""


def price_fault(instrument: Instrument, kind: OrderType, price: Paise, trigger: Paise, protection: float) -> str:
    if kind in _PRICED and price <= 0:
        return f"{kind} order needs a price"
    if kind in _TRIGGERED and trigger <= 0:
        return f"{kind} order needs a trigger price"
    if kind in _MARKETABLE and (protection == 0 or protection > 100 or (protection < 0 and protection != -1)):
        return "market protection must be -1 or above 0 and at most 100 percent"
    if price % instrument.tick or trigger % instrument.tick:
        return f"price is not a multiple of the tick size {rupees_text(instrument.tick)}"
    return ""


def side_fault(side: Side, kind: OrderType, price: Paise, trigger: Paise, ltp: Paise) -> str:
    """A stop waits on the far side of the price, and its limit beyond its trigger."""
    if kind not in _TRIGGERED:
        return ""
    if ltp and (trigger >= ltp if side is Side.SELL else trigger <= ltp):
        word = "lower" if side is Side.SELL else "higher"
        return f"trigger price must be {word} than the last price {rupees_text(ltp)}"
    if kind is OrderType.SL and (price > trigger if side is Side.SELL else price < trigger):
        return "limit price is on the wrong side of the trigger price"
    return ""


def circuit_fault(kind: OrderType, price: Paise, circuit: tuple[Paise, Paise]) -> str:
    low, high = circuit
    if kind in _PRICED and high and not low <= price <= high:
        return f"price is outside the circuit limits {rupees_text(low)} to {rupees_text(high)}"
    return ""


def margin_rate(instrument: Instrument, product: Product, side: Side, leverage: int) -> tuple[int, int]:
    """Share of the value that is bound, as a fraction: delivery in full, intraday by the leverage,
    carried futures a fifth, bought options their premium."""
    if instrument.kind is InstrumentKind.OPTION and side is Side.BUY:
        return 1, 1
    if product is Product.CNC:
        return 1, 1
    return (1, leverage) if product is Product.MIS else (1, 5)
