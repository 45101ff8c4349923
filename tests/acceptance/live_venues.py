"""Kite and Upstox as one hand moves them: prices, faults and a look at the books in the same words for both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from otrade_bot.brokers.budget import KITE, UPSTOX, Budget
from otrade_bot.brokers.kite import KiteBroker, KiteSettings
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import Stream, StreamSettings
from otrade_bot.brokers.streams import KiteStreams, UpstoxStreams
from otrade_bot.brokers.upstox import UpstoxBroker, UpstoxSettings
from otrade_bot.core.clock import Clock
from otrade_bot.core.model import Product
from tests.venues import kite_faults, upstox
from tests.venues.faults import Closed, Fault, Fine, First, Hang, Reset
from tests.venues.kite import Kite
from tests.venues.shares import Listed, kite_shares, upstox_shares
from tests.venues.sockets import Link, Sockets
from tests.venues.tape import Tape
from tests.venues.tell import Teller
from tests.venues.upstox import UpstoxApi
from tests.venues.upstox_stream import ORDERS, PRICES

__all__ = ["VENUES", "Closed", "Fine", "First", "Guard", "Hang", "KiteSide", "Reset", "Seen", "UpstoxSide", "Venue"]

#: Reads are tried again at once, writes that hang are given up soon.
_KITE = {"backoff": 0.001, "retries": 1, "deadline": 2.0, "silence": 1.5}
_UPSTOX = {"backoff_s": 0.001, "retries": 1, "deadline_s": 2.0, "read_s": 1.5}
FINAL = ("COMPLETE", "CANCELLED", "REJECTED")


@dataclass(frozen=True)
class Seen:
    """An order in the exchange's own book, shown to clients or not. Status in Kite's words, prices in paise."""

    order_id: str
    symbol: str
    side: int
    quantity: int
    filled: int
    status: str
    kind: str
    price: int
    trigger: int
    tag: str

    @property
    def works(self) -> bool:
        return self.status not in FINAL


@dataclass(frozen=True)
class Guard:
    """A GTT that waits: the quantity it sells (buys: side 1) and its triggers, the lower one first."""

    gtt_id: str
    symbol: str
    side: int
    quantity: int
    triggers: tuple[int, ...]


class Venue(Protocol):
    """One broker's loopback venue, and how a client of ours is made for it."""

    name: str
    api: Any  #: Kite or UpstoxApi, for what is one broker's alone
    sockets: Sockets
    updates: Teller
    tape: Tape

    def open(self) -> None: ...
    async def close(self) -> None: ...
    def client(self, clock: Clock, sleep: Any, writers: int = 8) -> UnifiedBrokerMiddleware:
        """A new process's account, with the token that is right now. ``writers``: writes under way at once."""

    def pools(self, client: UnifiedBrokerMiddleware) -> list[ThreadPoolExecutor]:
        """Where the client's requests are made, those that have not begun waiting."""

    def wires(self, client: UnifiedBrokerMiddleware) -> list[tuple[Stream, str]]:
        """The client's connections, each with the path of its links at the venue."""

    def wants(self, link: Link, wire: Stream) -> bool:
        """Everything that this connection subscribes to has arrived."""

    def trade(self, symbol: str, paise: int, available: int | None = None) -> None:
        """At the exchange; the stream of prices says nothing yet."""

    def tick(self, *symbols: str) -> None:
        """The stream tells the last prices."""

    def thin(self, quantity: int) -> None:
        """The next order that arrives meets so many shares; the rest waits for a price."""

    def heartbeat(self) -> None: ...
    def fail(self, what: str, *faults: Fault) -> None:
        """The next requests of this kind: place modify cancel place_gtt modify_gtt cancel_gtt book history trades
        positions holdings funds gtts profile candles."""

    def hits(self, what: str) -> int: ...
    def orders(self) -> list[Seen]: ...
    def net(self, symbol: str, product: Product) -> int:
        """What is owned: today's net and, for delivery, what was held."""

    def guards(self) -> list[Guard]:
        """GTTs that wait."""

    def by_hand(self, symbol: str, side: int, quantity: int, product: Product) -> str:
        """A market order of the human's, from the broker's own app; its id."""

    # faults in the broker's own words
    def no(self, message: str = "No.") -> Fault:
        """A definite no to a write: nothing was done."""

    def too_many(self) -> Fault: ...
    def token_no(self) -> Fault:
        """The token is not taken."""

    def page(self, status: int = 502, *, after: bool = False) -> Fault:
        """A page for people where JSON was to be. ``after``: it was done."""

    def torn(self) -> Fault:
        """It was done, and the answer breaks off."""


class KiteSide:
    """See Venue."""

    name = "kite"
    NAMES: ClassVar = {"book": "orders", "history": "order_history", "funds": "margins", "candles": "historical"}

    def __init__(self, shares: Sequence[Listed], clock: Clock) -> None:
        self.api = Kite(kite_shares(tuple(shares)), clock)
        self.sockets, self.updates = self.api.stream.sockets, self.api.stream.updates
        assert self.api.tape is not None
        self.tape = self.api.tape
        self.tape.base |= {one.symbol: one.base for one in shares}

    def open(self) -> None:
        self.api.open()

    async def close(self) -> None:
        await self.api.close()

    def client(self, clock: Clock, sleep: Any, writers: int = 8) -> UnifiedBrokerMiddleware:
        settings: dict[str, Any] = {"root": self.api.root, "writers": writers, **_KITE}
        broker = KiteBroker(KiteSettings(self.api.API_KEY, self.api.token, **settings))
        streams = KiteStreams(
            self.api.API_KEY, self.api.token, root=self.api.ws_root, settings=StreamSettings(ping=None), sleep=sleep,
            clock=lambda: clock.now_ns() / 1e9,
        )  # fmt: skip
        return UnifiedBrokerMiddleware(broker, streams, Budget(KITE), clock=clock, sleep=sleep)

    def pools(self, client: UnifiedBrokerMiddleware) -> list[ThreadPoolExecutor]:
        broker: Any = client.inner
        return [broker._orders._pool, broker._reads._pool]

    def wires(self, client: UnifiedBrokerMiddleware) -> list[tuple[Stream, str]]:
        return [(client.streams._stream.wire, "/")]  # type: ignore[attr-defined]

    def wants(self, link: Link, wire: Stream) -> bool:
        return link.wanted == dict.fromkeys(wire.keys, "full")

    def trade(self, symbol: str, paise: int, available: int | None = None) -> None:
        self.api.trade(symbol, paise, available)

    def tick(self, *symbols: str) -> None:
        self.api.stream.ticks(symbols)

    def thin(self, quantity: int) -> None:
        self.api.exchange.thin = quantity

    def heartbeat(self) -> None:
        self.api.stream.heartbeat()

    def fail(self, what: str, *faults: Fault) -> None:
        self.api.fail(self.NAMES.get(what, what), *faults)

    def hits(self, what: str) -> int:
        return self.api.hits(self.NAMES.get(what, what))

    def orders(self) -> list[Seen]:
        return [
            Seen(o.order_id, o.share.key, o.side, o.quantity, o.filled, o.status, o.order_type, o.price, o.trigger,
                 o.tag)
            for o in self.api.exchange.orders.values()
        ]  # fmt: skip

    def net(self, symbol: str, product: Product) -> int:
        held = self.api.exchange.holdings.get(symbol, (0, 0))[0] if product is Product.CNC else 0
        return self.api.exchange.net(symbol, product.value)[0] + held

    def by_hand(self, symbol: str, side: int, quantity: int, product: Product) -> str:
        exchange, _, name = symbol.partition(":")
        form = {
            "exchange": exchange, "tradingsymbol": name, "transaction_type": "BUY" if side > 0 else "SELL",
            "quantity": quantity, "product": product.value, "order_type": "MARKET", "market_protection": -1,
        }  # fmt: skip
        return self.api.exchange.place(self.api._order(form))

    def guards(self) -> list[Guard]:
        found = []
        for gtt in self.api.gtts.all.values():
            if gtt.status == "active":
                leg, where = gtt.orders[0], gtt.condition
                triggers = tuple(sorted(round(trigger * 100) for trigger in where["trigger_values"]))
                side = 1 if leg["transaction_type"] == "BUY" else -1
                symbol = f"{where['exchange']}:{where['tradingsymbol']}"
                found.append(Guard(str(gtt.number), symbol, side, leg["quantity"], triggers))
        return found

    def no(self, message: str = "No.") -> Fault:
        return kite_faults.refuses("OrderException", message)

    def too_many(self) -> Fault:
        return kite_faults.too_many()

    def token_no(self) -> Fault:
        return kite_faults.refuses("TokenException", "Incorrect `api_key` or `access_token`.")

    def page(self, status: int = 502, *, after: bool = False) -> Fault:
        return kite_faults.html(status, after=after)

    def torn(self) -> Fault:
        return kite_faults.Broken(after=True)


class UpstoxSide:
    """See Venue."""

    name = "upstox"
    NAMES: ClassVar = {"place_gtt": "gtt_place", "modify_gtt": "gtt_modify", "cancel_gtt": "gtt_cancel"}
    WORDS: ClassVar = {
        "open": "OPEN", "trigger pending": "TRIGGER PENDING", "complete": "COMPLETE", "cancelled": "CANCELLED",
        "rejected": "REJECTED",
    }  # fmt: skip

    def __init__(self, shares: Sequence[Listed], clock: Clock) -> None:
        self.api = UpstoxApi(shares=upstox_shares(tuple(shares)), clock=clock)
        self.sockets, self.updates = self.api.stream.sockets, self.api.stream.updates
        assert self.api.tape is not None
        self.tape = self.api.tape
        self.tape.base |= {one.symbol: one.base for one in shares}
        self.api.stream.one_by_one = True
        self._keys = {one.symbol: one.upstox_key for one in shares}

    def open(self) -> None:
        self.api.up()

    async def close(self) -> None:
        faults = await self.api.close()
        assert not faults, faults

    def client(self, clock: Clock, sleep: Any, writers: int = 8) -> UnifiedBrokerMiddleware:
        settings: dict[str, Any] = {
            "host": self.api.root, "order_host": self.api.root, "threads": writers, **_UPSTOX,
        }  # fmt: skip
        broker = UpstoxBroker(self._keys, UpstoxSettings(**settings), self.api.token)
        streams = UpstoxStreams(
            self.api.token, root=self.api.ws_root, settings=StreamSettings(silence=0, ping=None), sleep=sleep,
            clock=lambda: clock.now_ns() / 1e9,
        )  # fmt: skip
        return UnifiedBrokerMiddleware(broker, streams, Budget(UPSTOX), clock=clock, sleep=sleep)

    def pools(self, client: UnifiedBrokerMiddleware) -> list[ThreadPoolExecutor]:
        broker: Any = client.inner
        return [broker._wire.writes, broker._wire.reads]

    def wires(self, client: UnifiedBrokerMiddleware) -> list[tuple[Stream, str]]:
        streams: Any = client.streams
        return [(streams._prices.wire, PRICES), (streams._orders.wire, ORDERS)]

    def wants(self, link: Link, wire: Stream) -> bool:
        return set(link.wanted) == set(wire.keys)

    def trade(self, symbol: str, paise: int, available: int | None = None) -> None:
        self.api.trade(self._keys[symbol], paise, available)

    def tick(self, *symbols: str) -> None:
        self.api.stream.ticks(self._keys[symbol] for symbol in symbols)

    def thin(self, quantity: int) -> None:
        self.api.exchange.thin = quantity

    def heartbeat(self) -> None:
        """Nothing is known of any."""

    def fail(self, what: str, *faults: Fault) -> None:
        for fault in faults:
            self.api.fail(self.NAMES.get(what, what), fault)

    def hits(self, what: str) -> int:
        return len(self.api.called(self.NAMES.get(what, what)))

    def orders(self) -> list[Seen]:
        return [
            Seen(o.order_id, o.share.symbol, o.side, o.quantity, o.filled, self.WORDS[o.status], o.order_type, o.price,
                 o.trigger, o.tag)
            for o in self.api.exchange.orders.values()
        ]  # fmt: skip

    def net(self, symbol: str, product: Product) -> int:
        key, word = self._keys[symbol], "I" if product is Product.MIS else "D"
        held = self.api.exchange.holdings.get(key, (0, 0))[0] if word == "D" else 0
        return self.api.exchange.net(key, word) + held

    def by_hand(self, symbol: str, side: int, quantity: int, product: Product) -> str:
        fields = {
            "instrument_token": self._keys[symbol], "transaction_type": "BUY" if side > 0 else "SELL",
            "quantity": quantity, "product": "I" if product is Product.MIS else "D", "order_type": "MARKET",
            "price": 0, "trigger_price": 0, "market_protection": -1,
        }  # fmt: skip
        return self.api.exchange.place(fields).order_id

    def guards(self) -> list[Guard]:
        return [
            Guard(gtt.gtt_id, gtt.share.symbol, gtt.side, gtt.quantity, (gtt.entry.trigger,))
            for gtt in self.api.exchange.gtts.values()
            if gtt.entry.status == "SCHEDULED"
        ]

    def no(self, message: str = "No.") -> Fault:
        return upstox.error(400, "UDAPI100036", message)

    def too_many(self) -> Fault:
        return upstox.too_many()

    def token_no(self) -> Fault:
        return upstox.error(401, "UDAPI100050", "Invalid token used to access API")

    def page(self, status: int = 502, *, after: bool = False) -> Fault:
        return upstox.html(status, after=after)

    def torn(self) -> Fault:
        return upstox.Torn()


VENUES: dict[str, type[KiteSide] | type[UpstoxSide]] = {"kite": KiteSide, "upstox": UpstoxSide}


def working(orders: Iterable[Seen], symbol: str, side: int) -> int:
    """What working orders of this side may still take."""
    return sum(o.quantity - o.filled for o in orders if o.works and (o.symbol, o.side) == (symbol, side))
