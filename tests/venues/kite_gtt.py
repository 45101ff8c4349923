"""GTTs as Kite keeps them: one trigger or two, each a LIMIT order when the price reaches it, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .kite_exchange import USER, Exchange, Order, Rejection, Row, rupees


@dataclass(eq=False)
class Gtt:
    """One GTT. ``orders`` as Kite lists them, ``result`` included."""

    number: int
    kind: str
    condition: Row
    orders: list[Row]
    created: str
    updated: str
    status: str = "active"
    met: set[int] = field(default_factory=set)

    def row(self) -> Row:
        return {
            "id": self.number, "user_id": USER, "parent_trigger": None, "type": self.kind,
            "created_at": self.created, "updated_at": self.updated,
            "expires_at": str(int(self.created[:4]) + 1) + self.created[4:], "status": self.status,
            "condition": self.condition, "orders": self.orders, "meta": {},
        }  # fmt: skip


class Gtts:
    """All of an account's. ``gap_ppm``: the least distance of a trigger from the last price."""

    gap_ppm = 2_500
    limit = 500

    def __init__(self, exchange: Exchange, make: Callable[[dict[str, Any]], Order]) -> None:
        self._exchange, self._make = exchange, make
        self.all: dict[int, Gtt] = {}

    def known(self, number: str) -> Gtt:
        if int(number) not in self.all:
            raise Rejection("GeneralException", "Trigger not found.", 404)
        return self.all[int(number)]

    def place(self, form: dict[str, str]) -> int:
        if sum(gtt.status == "active" for gtt in self.all.values()) >= self.limit:
            raise Rejection("InputException", "Maximum number of active GTTs reached.")
        kind, condition, orders = self._read(form)
        now = self._exchange.now()
        gtt = Gtt(112127 + len(self.all), kind, condition, orders, now, now)
        self.all[gtt.number] = gtt
        return gtt.number

    def modify(self, number: str, form: dict[str, str]) -> int:
        gtt = self._active(number)
        gtt.kind, gtt.condition, gtt.orders = self._read(form)
        gtt.updated = self._exchange.now()
        return gtt.number

    def delete(self, number: str) -> int:
        gtt = self._active(number)
        self.end(gtt, "deleted")
        return gtt.number

    def end(self, gtt: Gtt, status: str) -> None:
        """No longer active: deleted, cancelled, disabled, expired, rejected."""
        gtt.status = status
        gtt.updated = self._exchange.now()

    def _active(self, number: str) -> Gtt:
        gtt = self.known(number)
        if gtt.status != "active":
            raise Rejection("InputException", f"Trigger cannot be changed, it is {gtt.status}.")
        return gtt

    def _read(self, form: dict[str, str]) -> tuple[str, Row, list[Row]]:
        kind, asked, orders = form["type"], json.loads(form["condition"]), json.loads(form["orders"])
        triggers = [float(value) for value in asked["trigger_values"]]
        if len(triggers) != {"single": 1, "two-leg": 2}.get(kind) or len(orders) != len(triggers):
            raise Rejection("InputException", "Invalid number of triggers or orders.")
        key = f"{asked['exchange']}:{asked['tradingsymbol']}"
        if key not in self._exchange.shares:
            raise Rejection("InputException", "Invalid `tradingsymbol`.")
        last = self._exchange.prices.get(key, 0) / 100 or float(asked["last_price"])
        if any(abs(trigger - last) * 1_000_000 < last * self.gap_ppm for trigger in triggers):
            raise Rejection("InputException", "Trigger price is too close to the last traded price.")
        if len(triggers) == 2 and not triggers[0] < last < triggers[1]:
            raise Rejection("InputException", "The last price must lie between the triggers, the lower one first.")
        for order in orders:
            self._check(order, key)
        condition = {**asked, "instrument_token": self._exchange.shares[key].token}
        return kind, condition, [{**order, "result": None} for order in orders]

    def _check(self, order: Row, key: str) -> None:
        if order["order_type"] != "LIMIT" or order["product"] not in ("CNC", "NRML", "MTF"):
            raise Rejection("InputException", "GTT orders are LIMIT orders for CNC, NRML or MTF.")
        if order["quantity"] <= 0 or order["price"] <= 0 or f"{order['exchange']}:{order['tradingsymbol']}" != key:
            raise Rejection("InputException", "Invalid GTT order.")

    def price(self, key: str, paise: int) -> None:
        """A new last price: what it reaches goes off."""
        for gtt in list(self.all.values()):
            condition = gtt.condition
            if gtt.status == "active" and f"{condition['exchange']}:{condition['tradingsymbol']}" == key:
                for index, trigger in enumerate(condition["trigger_values"]):
                    if self._reached(trigger, float(condition["last_price"]), paise / 100):
                        self._go_off(gtt, index, paise)
                        break

    @staticmethod
    def _reached(trigger: float, base: float, last: float) -> bool:
        return last <= trigger if trigger < base else last >= trigger

    def _go_off(self, gtt: Gtt, index: int, paise: int) -> None:
        leg = gtt.orders[index]
        self.end(gtt, "triggered")
        result = {"status": "success", "order_id": "", "rejection_reason": ""}
        try:
            order = self._make({**leg, "price": f"{leg['price']:.2f}"})
            order.meta = {"gtt": gtt.number}
            result["order_id"] = self._exchange.place(order)
        except Rejection as no:
            result.update(status="failed", rejection_reason=no.message)
        leg["result"] = {
            **{name: value for name, value in leg.items() if name != "result"}, "account_id": USER,
            "validity": "DAY", "meta": json.dumps({"app_id": 12617, "gtt": gtt.number}),
            "timestamp": self._exchange.now(), "triggered_at": rupees(paise), "order_result": result,
        }  # fmt: skip
