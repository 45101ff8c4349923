"""What Upstox says, as the models of its own client read it. Rupees as floats, times in IST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .upstox_exchange import Exchange, Fill, Gtt, Order, Share

SIDES = {1: "BUY", -1: "SELL"}


def rupees(paise: float) -> float:
    return round(paise / 100, 4)


def clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _named(share: Share) -> dict[str, Any]:
    name = {"tradingsymbol": share.trading_symbol, "trading_symbol": share.trading_symbol}
    return {"exchange": share.exchange, "instrument_token": share.key, **name}


def order(row: Order, status: str = "", at: datetime | None = None) -> dict[str, Any]:
    average = row.value / row.filled if row.filled else 0
    return {
        **_named(row.share), "product": row.product, "price": rupees(row.price), "quantity": row.quantity,
        "status": status or row.status, "guid": None, "tag": row.tag or None, "placed_by": "2ABCDE",
        "order_type": row.order_type, "validity": "DAY", "trigger_price": rupees(row.trigger),
        "disclosed_quantity": 0, "transaction_type": SIDES[row.side], "average_price": rupees(average),
        "filled_quantity": row.filled, "pending_quantity": 0 if row.final else row.left,
        "status_message": row.reason or None, "status_message_raw": row.reason or None,
        "exchange_order_id": f"11000000{row.order_id[-6:]}", "parent_order_id": None, "order_id": row.order_id,
        "variety": "SIMPLE", "order_timestamp": clock(at or row.placed), "exchange_timestamp": clock(at or row.updated),
        "is_amo": False, "order_request_id": "1", "order_ref_id": f"udapi-{row.order_id}",
    }  # fmt: skip


def state(row: Order, status: str, at: datetime) -> dict[str, Any]:
    """One of its history, which says less than the book."""
    unsaid = ("guid", "pending_quantity", "status_message_raw", "order_ref_id")
    return {name: value for name, value in order(row, status, at).items() if name not in unsaid}


def update(row: Order) -> dict[str, Any]:
    """As the portfolio stream tells it."""
    return {"update_type": "order", "user_id": "2ABCDE", "instrument_key": row.share.key, **order(row)}


def trade(fill: Fill) -> dict[str, Any]:
    row = fill.order
    return {
        **_named(row.share), "product": row.product, "order_type": row.order_type,
        "transaction_type": SIDES[row.side], "quantity": fill.quantity,
        "exchange_order_id": f"11000000{row.order_id[-6:]}", "order_id": row.order_id,
        "exchange_timestamp": clock(fill.at), "order_timestamp": clock(fill.at),
        "average_price": rupees(fill.price), "trade_id": fill.trade_id, "order_ref_id": f"udapi-{row.order_id}",
    }  # fmt: skip


def position(exchange: Exchange, share: Share, product: str) -> dict[str, Any]:
    fills = [f for f in exchange.fills if (f.order.share, f.order.product) == (share, product)]
    bought = [f for f in fills if f.order.side > 0]
    sold = [f for f in fills if f.order.side < 0]
    (buys, paid), (sells, got) = _sums(bought), _sums(sold)
    net = buys - sells
    average = (paid / buys if net > 0 else got / sells) if net else 0
    return {
        **_named(share), "multiplier": 1.0, "value": rupees(paid - got), "pnl": rupees(got - paid + net * share.price),
        "product": product, "average_price": rupees(average), "buy_value": rupees(paid), "sell_value": rupees(got),
        "overnight_quantity": 0, "day_buy_quantity": buys, "day_buy_value": rupees(paid),
        "day_buy_price": rupees(paid / buys) if buys else 0.0, "day_sell_quantity": sells,
        "day_sell_value": rupees(got), "day_sell_price": rupees(got / sells) if sells else 0.0,
        "overnight_buy_amount": 0.0, "overnight_buy_quantity": 0, "overnight_sell_amount": 0.0,
        "overnight_sell_quantity": 0, "quantity": net, "last_price": rupees(share.price), "unrealised": 0.0,
        "realised": 0.0, "close_price": 0.0, "buy_price": rupees(paid / buys) if buys else 0.0,
        "sell_price": rupees(got / sells) if sells else 0.0,
    }  # fmt: skip


def _sums(fills: list[Fill]) -> tuple[int, int]:
    return sum(f.quantity for f in fills), sum(f.quantity * f.price for f in fills)


def holding(share: Share, quantity: int, average: int, coming: int = 0) -> dict[str, Any]:
    return {
        **_named(share), "isin": share.key.partition("|")[2], "cnc_used_quantity": 0, "collateral_type": "WC",
        "company_name": share.trading_symbol, "haircut": 0.2, "product": "D", "quantity": quantity,
        "last_price": rupees(share.price), "close_price": rupees(share.price), "pnl": 0.0, "day_change": 0.0,
        "day_change_percentage": 0.0, "average_price": rupees(average), "collateral_quantity": 0,
        "collateral_update_quantity": 0, "t1_quantity": coming,
    }  # fmt: skip


def funds(exchange: Exchange) -> dict[str, Any]:
    rest = {"payin_amount": 0.0, "span_margin": 0.0, "adhoc_margin": 0.0, "notional_cash": 0.0, "exposure_margin": 0.0}
    available = exchange.cash - exchange.used
    equity = {"used_margin": rupees(exchange.used), "available_margin": rupees(available), **rest}
    return {"equity": equity, "commodity": {"used_margin": 0.0, "available_margin": 0.0, **rest}}


def gtt(row: Gtt) -> dict[str, Any]:
    created = int(row.created.timestamp()) * 1_000_000
    return {
        "type": row.kind, "exchange": f"{row.share.exchange}_EQ", "quantity": row.quantity, "product": row.product,
        "rules": [
            {
                "strategy": rule.strategy, "status": rule.status, "message": rule.message or None,
                "trigger_type": rule.trigger_type, "trigger_price": rupees(rule.trigger),
                "transaction_type": SIDES[row.side if rule.strategy == "ENTRY" else -row.side],
                "order_id": rule.order_id or None, "trailing_gap": None,
            }
            for rule in row.rules
        ],
        "trading_symbol": row.share.trading_symbol, "instrument_token": row.share.key, "gtt_order_id": row.gtt_id,
        "expires_at": created + 365 * 86_400 * 1_000_000, "created_at": created,
    }  # fmt: skip


def ltp(share: Share) -> dict[str, Any]:
    price = rupees(share.price)
    return {"last_price": price, "instrument_token": share.key, "ltq": 1, "volume": 100, "cp": price}


def quote(share: Share, now: datetime) -> dict[str, Any]:
    """The full quote of v3."""
    price, moment = rupees(share.price), str(int(now.timestamp() * 1000))
    level = {"quantity": 10, "price": price, "orders": 1}
    return {
        "ohlc": {"open": price, "high": price, "low": price, "close": price, "volume": 100, "ts": int(moment)},
        "depth": {"buy": [level], "sell": [level]}, "timestamp": now.isoformat(), "instrument_token": share.key,
        "symbol": share.trading_symbol, "last_price": price, "volume": 100, "average_price": price, "oi": 0.0,
        "net_change": 0.0, "total_buy_quantity": 10.0, "total_sell_quantity": 10.0,
        "lower_circuit_limit": rupees(share.price * 9 // 10), "upper_circuit_limit": rupees(share.price * 11 // 10),
        "last_trade_time": moment, "oi_day_high": 0.0, "oi_day_low": 0.0, "prev_close_price": price,
    }  # fmt: skip


PROFILE = {
    "email": "trader@example.com", "exchanges": ["NSE", "BSE", "NFO"], "products": ["I", "D", "MTF"],
    "broker": "UPSTOX", "user_id": "2ABCDE", "user_name": "Asha", "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
    "user_type": "individual", "poa": False, "is_active": True,
}  # fmt: skip
