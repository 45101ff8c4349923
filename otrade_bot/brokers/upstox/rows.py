"""Upstox's rows in our words. A word that nobody knows drops no row: it means "open", and people see it.

Rows of another shape (no id, a text where a number is) raise BrokerException: half a book is no book.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from otrade_bot.brokers.outcomes import said
from otrade_bot.core.clock import from_iso
from otrade_bot.core.errors import BrokerException
from otrade_bot.core.model import (
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Funds,
    Gtt,
    GttLeg,
    GttStatus,
    Holding,
    OrderStatus,
    OrderType,
    Product,
    Side,
)
from otrade_bot.core.money import to_paise

__all__ = [
    "GTT_WORDS",
    "STATUS_WORDS",
    "Names",
    "amount",
    "fill",
    "funds",
    "gtt",
    "holding",
    "order",
    "position",
    "rows",
    "whole",
]

Row = Mapping[str, Any]

STATUS_WORDS = {
    "complete": OrderStatus.COMPLETE,
    "rejected": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "cancelled after market order": OrderStatus.CANCELLED,
    "open": OrderStatus.OPEN,
    "trigger pending": OrderStatus.TRIGGER_PENDING,
}
GTT_WORDS = {
    "SCHEDULED": GttStatus.ACTIVE,
    "PENDING": GttStatus.ACTIVE,
    "TRIGGERED": GttStatus.TRIGGERED,
    "OPEN": GttStatus.TRIGGERED,
    "COMPLETED": GttStatus.TRIGGERED,
    "CANCELLED": GttStatus.CANCELLED,
    "EXPIRED": GttStatus.EXPIRED,
    "FAILED": GttStatus.REJECTED,
}
#: Parts of the words for what is neither resting nor ended.
_ON_ITS_WAY = ("pending", "received", "modif", "not cancelled", "update")
_STOPS = frozenset({OrderType.SL, OrderType.SL_M})


class Names:
    """Our symbols and Upstox's instrument keys, both ways. What is not listed is named as Upstox names it."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._symbols = {key: symbol for symbol, key in keys.items()}

    def key(self, symbol: str) -> str | None:
        return self._keys.get(symbol)

    def symbol(self, row: Row) -> str:
        key = str(row.get("instrument_token") or row.get("instrument_key") or "?")
        known, name = self._symbols.get(key), str(row.get("trading_symbol") or row.get("tradingsymbol") or key)
        return known or f"{str(row.get('exchange') or '?').partition('_')[0]}:{name}"

    def product(self, row: Row) -> Product:
        """D is delivery of shares and carry-forward of derivatives; MTF and unknown ones are carried, too."""
        if row.get("product") in ("I", "CO", "OCO"):
            return Product.MIS
        segment = str(row.get("instrument_token") or row.get("exchange") or "").partition("|")[0]
        return Product.NRML if segment.endswith(("FO", "COM", "MCX", "CDS")) else Product.CNC


def rows(what: str, data: Any) -> list[Row]:
    """A list of rows, also where Upstox says null for none."""
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise BrokerException(f"Upstox: {what}: a list of rows was expected, not {type(data).__name__}")
    return data


def order(row: Row, names: Names) -> BrokerOrder:
    """The value is average price × filled quantity: exact sums are in the trades."""
    kind, strange_kind = _kind(row)
    side, strange_side = _side(row)
    word, filled = str(row.get("status") or ""), whole(row, "filled_quantity")
    placed, updated = _time(row, "order_timestamp"), _time(row, "exchange_timestamp")
    return BrokerOrder(
        order_id=_id(row, "order_id"), symbol=names.symbol(row), side=side, quantity=_quantity(row),
        product=names.product(row), order_type=kind, status=_status(word, kind, filled),
        status_word=" ".join(part for part in (word, strange_kind, strange_side) if part), filled=filled,
        value=to_paise(amount(row, "average_price") * filled), price=to_paise(amount(row, "price")),
        trigger=to_paise(amount(row, "trigger_price")), tag=str(row.get("tag") or ""), placed_ns=placed,
        updated_ns=max(placed, updated), reason=str(row.get("status_message") or ""), strange=_strange(word),
    )  # fmt: skip


def _strange(word: str) -> bool:
    plain = word.strip().lower()
    return plain not in STATUS_WORDS and not any(part in plain for part in _ON_ITS_WAY)


def _status(word: str, kind: OrderType, filled: int) -> OrderStatus:
    """A stop on its way ("modify pending", "cancel pending", a new word) has not gone off as far as is known."""
    known = STATUS_WORDS.get(word.strip().lower())
    if known is not None:
        return known
    return OrderStatus.TRIGGER_PENDING if kind in _STOPS and filled == 0 else OrderStatus.OPEN


def _kind(row: Row) -> tuple[OrderType, str]:
    word = str(row.get("order_type") or "")
    try:
        return OrderType(word), ""
    except ValueError:
        kind = OrderType.LIMIT if amount(row, "price") else OrderType.MARKET
        return kind, f"(order type {word or 'missing'})"


def _side(row: Row) -> tuple[Side, str]:
    word = str(row.get("transaction_type") or "")
    if word in ("BUY", "SELL"):
        return Side[word], ""
    side = Side.BUY if word.upper().startswith("B") else Side.SELL
    return side, f"(transaction type {word or 'missing'})"


def fill(row: Row, names: Names) -> BrokerFill:
    return BrokerFill(
        _id(row, "trade_id"), _id(row, "order_id"), names.symbol(row), _side(row)[0], _quantity(row),
        to_paise(amount(row, "average_price")), _time(row, "exchange_timestamp") or _time(row, "order_timestamp"),
    )  # fmt: skip


def position(row: Row, names: Names) -> BrokerPosition:
    average, last = to_paise(amount(row, "average_price")), to_paise(amount(row, "last_price"))
    return BrokerPosition(names.symbol(row), names.product(row), _quantity(row), average, last)


def holding(row: Row, names: Names, t1_apart: bool) -> Holding:
    quantity = _quantity(row) + (whole(row, "t1_quantity") if t1_apart else 0)
    return Holding(names.symbol(row), quantity, to_paise(amount(row, "average_price")))


def funds(data: Any) -> Funds:
    equity = data.get("equity") if isinstance(data, dict) else None
    if not isinstance(equity, dict):
        raise BrokerException("Upstox: funds: no equity segment in the answer")
    return Funds(to_paise(amount(equity, "available_margin")), to_paise(amount(equity, "used_margin")))


def gtt(row: Row, names: Names) -> Gtt:
    """One leg: the ENTRY rule. Once that has executed, those of its STOPLOSS and TARGET, in this order.

    Upstox does not say at which price a leg will be placed: 0. A word that nobody knows means active.
    """
    rules = {str(rule.get("strategy")): rule for rule in rows("GTT rules", row.get("rules"))}
    entry = rules.get("ENTRY")
    if entry is None:
        raise BrokerException(f"Upstox: GTT {row.get('gtt_order_id')} has no ENTRY rule")
    after = [rules[name] for name in ("STOPLOSS", "TARGET") if name in rules]
    shown = after if after and _word(entry) is GttStatus.TRIGGERED else [entry]
    return Gtt(
        _id(row, "gtt_order_id"), names.symbol(row), _side(shown[0])[0], _quantity(row), names.product(row),
        tuple(_leg(rule) for rule in shown), _together([_word(rule) for rule in shown]),
        whole(row, "created_at") * 1000,
    )  # fmt: skip


def _leg(rule: Row) -> GttLeg:
    reason = str(rule.get("message") or "")
    word = str(rule.get("status"))
    told = reason if word in GTT_WORDS else f"{word} {reason}".strip()
    return GttLeg(to_paise(amount(rule, "trigger_price")), 0, str(rule.get("order_id") or ""), told)


def _word(rule: Row) -> GttStatus:
    return GTT_WORDS.get(str(rule.get("status")), GttStatus.ACTIVE)


def _together(words: list[GttStatus]) -> GttStatus:
    """While one leg waits the whole does; one that went off outweighs those that it voided."""
    return next((word for word in (GttStatus.ACTIVE, GttStatus.TRIGGERED) if word in words), words[0])


def _id(row: Row, name: str) -> str:
    value = row.get(name)
    if value in (None, ""):
        raise BrokerException(f"Upstox: a row without {name}")
    return str(value)


def amount(row: Row, name: str) -> Decimal:
    """Nothing counts as 0. Raises BrokerException for what is no finite number."""
    value = row.get(name)
    try:
        found = Decimal(str(0 if value in (None, "") else value))
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        raise BrokerException(f"Upstox: {name} is no number: {said(repr(value))}")
    return found


def _quantity(row: Row) -> int:
    """Raises BrokerException also where there is none: nothing held is said with a 0."""
    if row.get("quantity") in (None, ""):
        raise BrokerException("Upstox: a row without quantity")
    return whole(row, "quantity")


def whole(row: Row, name: str) -> int:
    """As ``amount``, without what stands behind the point."""
    return int(amount(row, name))


def _time(row: Row, name: str) -> int:
    """ns UTC; 0 where there is none that can be read."""
    text = str(row.get(name) or "")
    try:
        return from_iso(text)
    except ValueError:
        pass
    try:
        return from_iso(datetime.strptime(text, "%d-%b-%Y %H:%M:%S").isoformat())  # noqa: DTZ007 - IST is added
    except ValueError:
        return 0
