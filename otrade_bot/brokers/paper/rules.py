"""What a broker refuses at once, in a broker's words. Pure: '' means there is nothing against it."""

from __future__ import annotations

from dataclasses import dataclass

from otrade_bot.brokers.paper.records import STOPS, Desk
from otrade_bot.brokers.paper.settings import PaperSettings
from otrade_bot.core.model import (
    GttRequest,
    Instrument,
    InstrumentKind,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import Paise, rupees_text

__all__ = ["Terms", "fault", "gtt_fault"]

_PRICED = frozenset({OrderType.LIMIT, OrderType.SL})
_DERIVATIVE = frozenset({InstrumentKind.FUTURE, InstrumentKind.OPTION})


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order asks for, new or as a modification would leave it. Unused prices are 0."""

    side: Side
    quantity: int
    product: Product
    order_type: OrderType
    price: Paise
    trigger: Paise
    protection: float


def fault(terms: Terms, instrument: Instrument, desk: Desk, settings: PaperSettings) -> str:
    """The first thing wrong with an order, before money and session are asked."""
    return (
        _product_fault(instrument, terms.product)
        or _quantity_fault(instrument, terms.quantity)
        or _protection_fault(terms)
        or _price_fault("Price", terms.price, terms.order_type in _PRICED, instrument, desk, settings)
        or _price_fault("Trigger price", terms.trigger, terms.order_type in STOPS, instrument, desk, settings)
        or _stop_fault(terms, desk)
    )


def gtt_fault(request: GttRequest, instrument: Instrument) -> str:
    """The first thing wrong with a GTT. Its legs meet the order's own rules when they trigger."""
    if request.product.intraday:
        return "GTT is not allowed for MIS."
    if len(request.legs) not in (1, 2):
        return "A GTT has one trigger or two."
    if request.last_price <= 0:
        return "Last price is missing."
    return (
        _product_fault(instrument, request.product)
        or _quantity_fault(instrument, request.quantity)
        or _legs_fault(request, instrument)
    )


def _legs_fault(request: GttRequest, instrument: Instrument) -> str:
    last = request.last_price
    for leg in request.legs:
        for word, value in (("Trigger price", leg.trigger), ("Price", leg.price)):
            if value <= 0 or value % instrument.tick:
                return _grid(word, value, instrument)
        if leg.trigger == last:
            return "Trigger already met."
    if len(request.legs) == 2:
        triggers = [leg.trigger for leg in request.legs]
        if not min(triggers) < last < max(triggers):
            return "The triggers of a two-leg GTT must lie on either side of the last price."
        if request.side is Side.BUY and instrument.kind not in _DERIVATIVE:
            return "A two-leg GTT to buy is for derivatives only."
    return ""


def _product_fault(instrument: Instrument, product: Product) -> str:
    if not instrument.tradable:
        return f"{instrument.symbol} is an index and cannot be traded."
    if product is Product.CNC and instrument.kind in _DERIVATIVE:
        return "Product CNC is not allowed for derivatives."
    if product is Product.NRML and instrument.kind not in _DERIVATIVE:
        return "Product NRML is not allowed for equity."
    return ""


def _quantity_fault(instrument: Instrument, quantity: int) -> str:
    if quantity <= 0:
        return f"Quantity must be above 0, not {quantity}."
    if quantity % instrument.lot:
        return f"Quantity {quantity} is not a multiple of the lot size {instrument.lot}."
    if 0 < instrument.freeze < quantity:
        return f"Quantity {quantity} is above the freeze quantity {instrument.freeze}."
    return ""


def _protection_fault(terms: Terms) -> str:
    if terms.order_type in (OrderType.MARKET, OrderType.SL_M):
        if terms.protection == 0:
            return "Market orders without market protection are not allowed."
        if terms.protection > 100:
            return "Market protection is at most 100 percent."
    return ""


def _price_fault(
    word: str, price: Paise, wanted: bool, instrument: Instrument, desk: Desk, settings: PaperSettings
) -> str:
    if not wanted:
        return ""
    if price <= 0 or price % instrument.tick:
        return _grid(word, price, instrument)
    room = int(desk.base * settings.circuit_percent / 100)
    # The band follows a price that has left it (shares with derivatives have no fixed one): what the tape
    # prints can be traded. An option's band follows its underlying and is far wider: not modelled.
    near = desk.price > 0 and abs(price - desk.price) <= int(desk.price * settings.circuit_percent / 100)
    if room > 0 and instrument.kind is not InstrumentKind.OPTION and abs(price - desk.base) > room and not near:
        low, high = rupees_text(desk.base - room), rupees_text(desk.base + room)
        return f"{word} {rupees_text(price)} is outside the day's circuit limits {low} to {high}."
    return ""


def _grid(word: str, price: Paise, instrument: Instrument) -> str:
    if price <= 0:
        return f"{word} is missing."
    return f"{word} {rupees_text(price)} is not a multiple of the tick size {rupees_text(instrument.tick)}."


def _stop_fault(terms: Terms, desk: Desk) -> str:
    if terms.order_type not in STOPS:
        return ""
    buys = terms.side is Side.BUY
    what, where = ("buy", "above") if buys else ("sell", "below")
    if desk.live and (terms.trigger <= desk.price if buys else terms.trigger >= desk.price):
        return f"Trigger of a stop-loss {what} must be {where} the last price {rupees_text(desk.price)}."
    if terms.order_type is OrderType.SL and terms.side * (terms.price - terms.trigger) < 0:
        return f"Price of a stop-loss {what} must be at its trigger or {where} it."
    return ""
