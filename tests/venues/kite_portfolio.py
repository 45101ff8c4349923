"""What an account holds, as Kite writes it: positions, holdings, margins."""

from __future__ import annotations

from .kite_exchange import Exchange, Order, Rejection, Row, rupees


def positions(exchange: Exchange) -> Row:
    """Today's, flat ones as well."""
    orders: dict[tuple[str, str], list[Order]] = {}
    for order in exchange.orders.values():
        orders.setdefault((order.share.key, order.product), []).append(order)
    rows = [
        _position(exchange, key, product, orders[key, product], *lot)
        for (key, product), lot in exchange.positions().items()
    ]
    return {"net": rows, "day": rows}


def _position(exchange: Exchange, key: str, product: str, orders: list[Order], quantity: int, average: int) -> Row:
    share, last = exchange.shares[key], exchange.prices.get(key, 0)
    row: Row = {
        "tradingsymbol": share.tradingsymbol, "exchange": share.exchange, "instrument_token": share.token,
        "product": product, "quantity": quantity, "overnight_quantity": 0, "multiplier": 1,
        "average_price": rupees(average), "close_price": 0, "last_price": rupees(last), "value": 0, "pnl": 0,
        "m2m": 0, "unrealised": 0, "realised": 0,
    }  # fmt: skip
    for word, side in (("buy", 1), ("sell", -1)):
        count = sum(o.filled for o in orders if o.side == side)
        value = sum(o.value for o in orders if o.side == side)
        mean = rupees(value // count) if count else 0
        numbers = {"quantity": count, "price": mean, "value": rupees(value)}
        row |= {f"{word}_{name}": number for name, number in numbers.items()}
        row |= {f"day_{word}_{name}": number for name, number in numbers.items()}
        row[f"{word}_m2m"] = rupees(value)
    return row


def holdings(exchange: Exchange) -> list[Row]:
    return [_holding(exchange, key, *lot) for key, lot in exchange.holdings.items()]


def _holding(exchange: Exchange, key: str, quantity: int, average: int) -> Row:
    share, last = exchange.shares[key], exchange.prices.get(key, 0)
    zeros = dict.fromkeys(("used_quantity", "authorised_quantity", "short_quantity"), 0)
    coming = exchange.coming.get(key, 0)
    return {
        "tradingsymbol": share.tradingsymbol, "exchange": share.exchange, "instrument_token": share.token,
        "isin": "INE000000000", "product": "CNC", "price": 0, "quantity": quantity - coming, **zeros,
        "t1_quantity": coming, "realised_quantity": quantity - coming,
        "authorised_date": "2026-11-20 00:00:00", "authorisation": {},
        "opening_quantity": quantity, "collateral_quantity": 0, "collateral_type": "", "discrepancy": False,
        "average_price": rupees(average), "last_price": rupees(last), "close_price": rupees(last),
        "pnl": rupees(quantity * (last - average)), "day_change": 0, "day_change_percentage": 0,
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    }  # fmt: skip


def margins(exchange: Exchange, segment: str) -> Row:
    """All cash is in the equity segment."""
    if segment not in ("equity", "commodity"):
        raise Rejection("InputException", "Invalid `segment`.")
    cash, used = (exchange.cash, exchange.used()) if segment == "equity" else (0, 0)
    utilised = dict.fromkeys(
        ("m2m_realised", "m2m_unrealised", "option_premium", "payout", "span", "holding_sales", "turnover",
         "liquid_collateral", "stock_collateral", "delivery"), 0)  # fmt: skip
    return {
        "enabled": True, "net": rupees(cash - used),
        "available": {"adhoc_margin": 0, "cash": rupees(cash), "opening_balance": rupees(cash),
                      "live_balance": rupees(cash - used), "collateral": 0, "intraday_payin": 0},
        "utilised": {"debits": rupees(used), "exposure": rupees(used), **utilised},
    }  # fmt: skip
