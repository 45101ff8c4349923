"""Our words to Kite's and back: prices exact, times from India's wall clock, words nobody has heard of kept.

A row that our model has no words for (a cover order, a pledge-funded position) is None: the caller says so
to humans and leaves it alone. A row that cannot be read at all raises ValueError, KeyError or TypeError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from otrade_bot.brokers.quotes import MarketQuote
from otrade_bot.core.clock import from_iso
from otrade_bot.core.model import (
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttLeg,
    GttRequest,
    GttStatus,
    Holding,
    Instrument,
    InstrumentKind,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import Paise, to_paise

__all__ = [
    "FOREIGN", "PROTECTED", "amount", "fill_of", "funds_of", "gtt_fields", "gtt_of", "holding_of", "instruments_of",
    "modify_fields", "ns_of", "order_of", "place_fields", "position_of", "protection_of", "quote_of", "request_fault",
]  # fmt: skip

PRICED = frozenset({OrderType.LIMIT, OrderType.SL})
STOPS = frozenset({OrderType.SL, OrderType.SL_M})
#: Types that Kite takes with market protection only.
PROTECTED = frozenset({OrderType.MARKET, OrderType.SL_M})
#: Products that Kite documents and we never order: whatever tag such an order bears, it is not ours.
FOREIGN = frozenset({"CO", "BO", "MTF"})
_FINAL = {
    "COMPLETE": OrderStatus.COMPLETE, "CANCELLED": OrderStatus.CANCELLED, "REJECTED": OrderStatus.REJECTED,
}  # fmt: skip
#: Every word that is documented or was seen.
_KNOWN = frozenset(
    {*_FINAL, "OPEN", "TRIGGER PENDING", "PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING",
     "MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "CANCEL PENDING", "AMO REQ RECEIVED", "UPDATE"}
)  # fmt: skip
_GTT_STATUS = {
    "active": GttStatus.ACTIVE, "triggered": GttStatus.TRIGGERED, "cancelled": GttStatus.CANCELLED,
    "disabled": GttStatus.CANCELLED, "rejected": GttStatus.REJECTED, "expired": GttStatus.EXPIRED,
    "deleted": GttStatus.DELETED,
}  # fmt: skip
_PRODUCTS, _TYPES = frozenset(Product), frozenset(OrderType)
_TAG = re.compile(r"[A-Za-z0-9]{0,20}")
_KINDS = {"FUT": InstrumentKind.FUTURE, "CE": InstrumentKind.OPTION, "PE": InstrumentKind.OPTION}


# --- to Kite ---
def amount(paise: Paise) -> str:
    """Rupees as text, exact: 99005 -> '990.05', 99000 -> '990'."""
    sign, (whole, part) = "-" if paise < 0 else "", divmod(abs(paise), 100)
    return f"{sign}{whole}.{part:02d}" if part else f"{sign}{whole}"


def protection_of(percent: float) -> int | float:
    """-1.0 -> -1 (automatic), 2.5 -> 2.5."""
    return int(percent) if float(percent).is_integer() else percent


def request_fault(request: OrderRequest) -> str:
    """Why Kite has no words for an order; '' where it has."""
    if not _TAG.fullmatch(request.tag):
        return f"the tag {request.tag!r} is not up to 20 letters and digits"
    if not request.instrument.tradingsymbol:
        return f"{request.instrument.symbol!r} is not EXCHANGE:TRADINGSYMBOL"
    return ""


def place_fields(request: OrderRequest) -> dict[str, Any]:
    """Arguments of the client's ``place_order``."""
    kind = request.order_type
    return {
        "variety": "regular", "exchange": request.instrument.exchange,
        "tradingsymbol": request.instrument.tradingsymbol, "transaction_type": request.side.name,
        "quantity": request.quantity, "product": request.product.value, "order_type": kind.value,
        "validity": "DAY", "price": amount(request.price) if kind in PRICED else None,
        "trigger_price": amount(request.trigger) if kind in STOPS else None,
        "market_protection": protection_of(request.protection) if kind in PROTECTED else None,
        "tag": request.tag or None,
    }  # fmt: skip


def modify_fields(
    order_id: str, quantity: int | None, order_type: OrderType | None, price: Paise | None, trigger: Paise | None,
    protection: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Arguments of the client's ``modify_order``; what stays as it is is not sent."""
    return {
        "variety": "regular", "order_id": order_id, "quantity": quantity,
        "order_type": None if order_type is None else order_type.value,
        "price": None if price is None else amount(price),
        "trigger_price": None if trigger is None else amount(trigger),
        "market_protection": None if protection is None else protection_of(protection),
    }  # fmt: skip


def gtt_fields(request: GttRequest) -> dict[str, Any]:
    """Arguments of the client's ``place_gtt`` and ``modify_gtt``: the lower trigger goes first.

    Rupees are floats in JSON: the nearest one to whole paise prints as these paise. Raises ValueError for
    what is neither one leg nor two.
    """
    if len(request.legs) not in (1, 2):
        raise ValueError(f"a GTT has one leg or two, not {len(request.legs)}")
    legs = sorted(request.legs, key=lambda leg: leg.trigger)
    same = {
        "transaction_type": request.side.name, "quantity": request.quantity, "order_type": "LIMIT",
        "product": request.product.value,
    }  # fmt: skip
    return {
        "trigger_type": "single" if len(legs) == 1 else "two-leg",
        "tradingsymbol": request.instrument.tradingsymbol, "exchange": request.instrument.exchange,
        "trigger_values": [leg.trigger / 100 for leg in legs], "last_price": request.last_price / 100,
        "orders": [{**same, "price": leg.price / 100} for leg in legs],
    }  # fmt: skip


# --- from Kite ---
def ns_of(moment: object) -> int:
    """ns UTC of a time as Kite writes it, or as the client has parsed it: without a zone it is India's. 0 for none.

    Raises ValueError.
    """
    if moment is None or moment == "":
        return 0
    text = moment.isoformat() if isinstance(moment, datetime) else str(moment)
    return max(0, from_iso(text))


def order_of(row: Mapping[str, Any], modifications: int = 0) -> BrokerOrder | None:
    """One row of the book, or one update. ``modifications`` that we know of."""
    terms = _terms(row)
    if terms is None or row["order_type"] not in _TYPES:
        return None
    symbol, side, product = terms
    kind, word, filled = OrderType(row["order_type"]), str(row["status"]), int(row["filled_quantity"])
    times = [ns_of(row.get(f"{name}timestamp")) for name in ("order_", "exchange_", "exchange_update_")]
    return BrokerOrder(
        order_id=_name(row["order_id"]), symbol=symbol, side=side, quantity=int(row["quantity"]), product=product,
        order_type=kind, status=_status(word, kind, filled), status_word=word, filled=filled,
        value=_value(filled, row.get("average_price")), price=_paise(row.get("price")),
        trigger=_paise(row.get("trigger_price")), tag=tag_of(row),
        placed_ns=min((time for time in times if time), default=0), updated_ns=max(times),
        reason=str(row.get("status_message") or ""),
        modifications=max(modifications, 1 if row.get("modified") else 0), strange=word not in _KNOWN,
    )  # fmt: skip


def tag_of(row: Mapping[str, Any]) -> str:
    """The order's tag, wherever the row has it."""
    tags = row.get("tags") or [""]
    return str(row.get("tag") or tags[0] or "")


def _status(word: str, kind: OrderType, filled: int) -> OrderStatus:
    """A stop without a fill has gone off where Kite says OPEN, and by no other word, known or not."""
    if word in _FINAL:
        return _FINAL[word]
    waits = word == "TRIGGER PENDING" or (word != "OPEN" and kind in STOPS and not filled)
    return OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN


def fill_of(row: Mapping[str, Any]) -> BrokerFill | None:
    """One row of the trade book."""
    if row["transaction_type"] not in Side.__members__:
        return None
    return BrokerFill(
        _name(row["trade_id"]), _name(row["order_id"]), _symbol(row), Side[row["transaction_type"]],
        int(row["quantity"]), _paise(row["average_price"]),
        ns_of(row.get("fill_timestamp")) or ns_of(row.get("exchange_timestamp")),
    )  # fmt: skip


def position_of(row: Mapping[str, Any]) -> BrokerPosition | None:
    """One net position."""
    if row["product"] not in _PRODUCTS:
        return None
    return BrokerPosition(
        _symbol(row), Product(row["product"]), int(row["quantity"]), _paise(row["average_price"]),
        _paise(row.get("last_price")),
    )  # fmt: skip


def holding_of(row: Mapping[str, Any]) -> Holding:
    """Shares held when the day began, delivered or on their way: what is sold of them today is a position."""
    whole = int(row["realised_quantity"]) + int(row["t1_quantity"]) if "realised_quantity" in row else 0
    opening = int(row.get("opening_quantity", row["quantity"]))
    return Holding(_symbol(row), max(whole, opening), _paise(row["average_price"]))


def funds_of(segment: Mapping[str, Any]) -> Funds:
    """Of one segment's margins."""
    return Funds(_paise(segment["net"]), _paise(segment["utilised"]["debits"]))


def gtt_of(row: Mapping[str, Any]) -> Gtt | None:
    """One GTT, stop leg first. None where its legs differ in side, quantity or product."""
    orders, triggers = row["orders"], row["condition"]["trigger_values"]
    words = {(o["transaction_type"], int(o["quantity"]), o["product"]) for o in orders}
    if len(words) != 1 or len(orders) != len(triggers):
        return None
    ((side, quantity, product),) = words
    if side not in Side.__members__ or product not in _PRODUCTS:
        return None
    legs = sorted((_leg(*pair) for pair in zip(triggers, orders, strict=True)), key=lambda leg: leg.trigger)
    return Gtt(
        _name(row["id"]), _symbol(row["condition"]), Side[side], quantity, Product(product),
        tuple(legs if side == "SELL" else legs[::-1]), _GTT_STATUS.get(str(row["status"]), GttStatus.ACTIVE),
        ns_of(row.get("created_at")),
    )  # fmt: skip


def _leg(trigger: object, order: Mapping[str, Any]) -> GttLeg:
    result = (order.get("result") or {}).get("order_result") or {}
    return GttLeg(
        _paise(trigger), _paise(order["price"]), str(result.get("order_id") or ""),
        str(result.get("rejection_reason") or ""),
    )  # fmt: skip


def quote_of(symbol: str, row: Mapping[str, Any]) -> MarketQuote:
    """One entry of a full quote."""
    day, depth = row.get("ohlc") or {}, row.get("depth") or {}
    best = [(depth.get(side) or [{}])[0].get("price") for side in ("buy", "sell")]
    return MarketQuote(
        symbol, _paise(row["last_price"]), open=_paise(day.get("open")), high=_paise(day.get("high")),
        low=_paise(day.get("low")), close=_paise(day.get("close")), volume=int(row.get("volume") or 0),
        bid=_paise(best[0]), ask=_paise(best[1]),
        lower_circuit=_paise(row.get("lower_circuit_limit")), upper_circuit=_paise(row.get("upper_circuit_limit")),
        ts_ns=ns_of(row.get("last_trade_time")),
    )  # fmt: skip


def instruments_of(rows: Iterable[Mapping[str, Any]]) -> list[Instrument]:
    """Of the instruments file. What ticks in fractions of a paisa (currencies) is left out.

    A share with futures in the same file trades in the closing auction. Kite tells no freeze quantities.
    """
    rows = list(rows)
    with_futures = {row["name"] for row in rows if row["segment"] == "NFO-FUT"}
    return [found for row in rows if (found := _instrument(row, with_futures)) is not None]


def _instrument(row: Mapping[str, Any], with_futures: set[str]) -> Instrument | None:
    tick = Decimal(str(row["tick_size"])) * 100
    if tick != tick.to_integral_value():
        return None
    kind = _KINDS.get(row["instrument_type"], InstrumentKind.EQUITY)
    kind = InstrumentKind.INDEX if row["segment"] == "INDICES" else kind
    auction = kind is InstrumentKind.EQUITY and row["exchange"] == "NSE" and row["tradingsymbol"] in with_futures
    return Instrument(
        _symbol(row), int(row["instrument_token"]), kind, int(tick) or 5, max(1, int(row["lot_size"])),
        closing_auction=auction, name=row["name"],
    )  # fmt: skip


def _terms(row: Mapping[str, Any]) -> tuple[str, Side, Product] | None:
    side, product = row["transaction_type"], row["product"]
    if side not in Side.__members__ or product not in _PRODUCTS:
        return None
    return _symbol(row), Side[side], Product(product)


def _symbol(row: Mapping[str, Any]) -> str:
    return f"{_name(row['exchange'])}:{_name(row['tradingsymbol'])}"


def _name(value: object) -> str:
    if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
        return str(value)
    raise ValueError(f"{value!r} is no name")


def _paise(value: Any) -> Paise:
    return 0 if value is None else to_paise(value)


def _value(filled: int, average: Any) -> Paise:
    """Of the fills. Kite tells a mean of four decimals, so a large order may be off by some paise."""
    if not filled or average is None:
        return 0
    return int((Decimal(str(average)) * 100 * filled).to_integral_value(ROUND_HALF_UP))
