"""What a service has of brokers beside the day's desk: connections that stay up, the day's tokens, live prices.

The connections outlive every desk. What they tell goes to the desk that is open; what a desk cannot mend by
itself (a new login, a long gap in the prices) asks for the day to be opened again, which is the one path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.tokens import Token, TokenStore, token_for
from otrade_bot.config.secrets import Secrets
from otrade_bot.core.clock import SECOND, Clock, iso
from otrade_bot.core.errors import BrokerException, ConfigException
from otrade_bot.core.model import Block
from otrade_bot.service.clockwork import compare
from otrade_bot.service.live_feed import LiveFeed
from otrade_bot.service.live_prices import LiveSource
from otrade_bot.service.tokencheck import check_account
from otrade_bot.trading.engine import LiveTradingEngine

__all__ = ["BrokerSide"]

#: A gap in the prices of so long is filled from the broker's candles.
GAP = 60 * SECOND
#: A stream may take so long to come up.
CONNECTS = 5 * SECOND
#: A broker that could not be asked is asked again after this.
ASK_AGAIN = 15 * SECOND
#: The end of a reason to open the desk again: it may yet be that not all is answered.
ANSWERS = "answers again"
TOKEN_WATCH = 2 * SECOND
#: Orders that leaving one rung may take: its exit, and one more where a stop had to be placed anew.
EXITS_A_RUNG = 2


@dataclass(slots=True)
class BrokerSide:
    """``trading``: the name of the connection that takes orders, '' on paper. ``feed`` pushes prices to whatever desk
    is open. ``again`` asks for the day to be opened again, with the reason; set by the service."""

    connections: Mapping[str, UnifiedBrokerMiddleware]
    trading: str
    feed: LiveFeed
    source: LiveSource
    store: TokenStore
    secrets: Secrets
    clock: Clock
    tokens: dict[str, str]  #: those that are used, by broker; '' = none
    again: Callable[[str], None] = lambda why: None
    users: dict[str, str] = field(default_factory=dict)  #: the accounts by broker, as the last login named them
    _engine: LiveTradingEngine | None = None
    _stamp: tuple[int, int] = (0, 0)
    _asked_ns: int = 0
    _watched_ns: int = 0
    _away_ns: int = 0  #: since when there are no prices; 0 = there are
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _lost: dict[str, str] = field(default_factory=dict)  #: tokens that were refused before there was a desk, and why
    _to_tell: list[str] = field(default_factory=list)  #: what was found before there was an engine
    _unasked: set[str] = field(default_factory=set)  #: whose token of the environment waits, as nobody says whose it is
    _vetted_ns: int = 0
    _shut: set[str] = field(default_factory=set)  #: no write leaves, as the desk is of the account before

    def __post_init__(self) -> None:
        self._stamp = self.store.stamp()
        for name, connection in self.connections.items():
            connection.on_token_fault = lambda why, name=name: self._token_lost(name, why)  # type: ignore[misc]
            connection.on_token_back = lambda name=name: self._token_back(name)  # type: ignore[misc]
            connection.on_books_due = lambda name=name: self._books_due(name)  # type: ignore[misc]

    def tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """To be run for as long as the service; they end by cancellation only."""
        return [(name, connection.run) for name, connection in self.connections.items()]

    async def close(self) -> None:
        """Wait for what is under way; the connections end."""
        for connection in self.connections.values():
            await connection.aclose()

    def begin(self) -> None:
        """A desk is about to be opened, the one before is closed."""
        for name in self._shut:
            self.connections[name].read_only = ""
        self._shut.clear()

    def attach(self, engine: LiveTradingEngine) -> None:
        """The desk that is open now; prices go to it where it knows what it holds."""
        self._engine = engine
        told, self._to_tell = self._to_tell, []
        for text in told:
            engine.alert(text)
        lost, self._lost = self._lost, {}
        for name, why in lost.items():
            self._token_lost(name, why)
        if not engine.unread:
            self.feed.bind(engine)

    def detach(self) -> None:
        """The desk is opened anew: prices wait."""
        self.feed.release()

    # --- tokens ---
    def wanting(self, blocks: Collection[Block]) -> list[str]:
        """Brokers at which somebody should log in."""
        asked = [name for name, one in self.connections.items() if one.wants_login or not self.tokens[name]]
        lost = [self.trading] if Block.TOKEN in blocks and self.trading else []
        return list(dict.fromkeys([*lost, *asked]))

    def endings(self) -> list[dict[str, str]]:
        """Of each broker whose token it is and until when it holds; '' where that is not known."""
        found = []
        for name in self.connections:
            token = None
            with suppress(ConfigException):  # said by whoever needs it
                token = token_for(name, self.secrets, self.store, self.clock.now_ns())
            until = iso(token.expires_ns) if token is not None else ""
            found.append({"broker": name, "user": token.user if token else "", "until": until})
        return found

    async def check_accounts(self) -> None:
        """Whose the tokens of the environment are, before anything is read with them."""
        for name, connection in self.connections.items():
            found = await check_account(name, self.secrets, self.store, self.clock)
            if found.fault:
                self._to_tell.append(found.fault)
            if not found.asked:
                self._unasked.add(name)
            if found.value != self.tokens[name]:
                self.tokens[name] = found.value
                connection.set_access_token(found.value)
            with suppress(ConfigException):  # said by whoever needs it
                self.users[name] = stored.user if (stored := self.store.load(name)) else ""
        self._vetted_ns, self._stamp = self.clock.now_ns(), self.store.stamp()

    async def _check_again(self, name: str) -> None:
        """The broker may tell now whose the token of the environment is."""
        try:
            found = await check_account(name, self.secrets, self.store, self.clock)
        except ConfigException as error:
            self._alert(f"the stored token of {name} cannot be read: {error}")
            return
        if not found.asked or name not in self._unasked:  # or a login has come meanwhile
            return
        self._unasked.discard(name)
        self._stamp = self.store.stamp()
        if found.fault:
            self._alert(found.fault)
        if found.value != self.tokens[name]:
            self.tokens[name] = found.value
            self.connections[name].set_access_token(found.value)
            await self._self_test(name)

    def take(self, name: str, token: Token) -> str:
        """A login has brought the day's token; what to tell who logged in."""
        self._unasked.discard(name)
        if name == self.trading and self.users.get(name) not in (None, "", token.user):
            self._leave(name)
        self.users[name] = token.user
        self.tokens[name] = token.value
        self.connections[name].set_access_token(token.value)
        self._spawn(self._self_test(name))
        return "It is tried now; trading goes on by itself, without a restart."

    def _leave(self, name: str) -> None:
        """The open desk is of another account: from now on it orders nothing, until a new one is open."""
        connection = self.connections[name]
        if not connection.read_only:
            connection.read_only = "the account is being changed"
            self._shut.add(name)
        if self._engine is not None:
            self._engine.retire()
        self.again(f"another account at {name}")

    def _from_elsewhere(self) -> None:
        """``otrade-bot login`` in another process has stored one."""
        stamp = self.store.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        for name in self.connections:
            try:
                found = token_for(name, self.secrets, self.store, self.clock.now_ns())
            except ConfigException as error:
                self._alert(f"the stored token of {name} cannot be read: {error}")
                continue
            # The environment's is the one of the start, and was judged then.
            if found is not None and found.user and found.value != self.tokens.get(name):
                self.take(name, found)

    async def _self_test(self, name: str) -> None:
        """The profile says whether the token is one; only then anything goes on."""
        try:
            fault = await self.connections[name].session_fault()
        except BrokerException as error:
            self._alert(f"{name}: logged in, but the profile cannot be read: {error}")
            return
        if fault:
            self._alert(f"{name} does not take the new token: {fault}")
        else:
            self._token_back(name)

    def _token_lost(self, name: str, why: str) -> None:
        if self._engine is None:
            self._lost[name] = why  # the streams come up before the first desk
        elif name == self.trading:
            self._engine.token_lost(why)
        else:
            self._alert(f"{name} wants a new login ({why}): no prices from there until /login", {"login": [name]})

    def _token_back(self, name: str) -> None:
        self._lost.pop(name, None)
        if self._engine is not None and name == self.trading:
            self._engine.token_back()
        self.again(f"logged in to {name}")

    def _books_due(self, name: str) -> None:
        engine = self._engine
        if engine is not None and name == self.trading and not engine.unread:
            self._spawn(compare(engine))

    # --- every second ---
    def look(self) -> None:
        """Has a token come, does a broker answer again, do prices come?"""
        now = self.clock.now_ns()
        if abs(now - self._watched_ns) >= TOKEN_WATCH:
            self._watched_ns = now
            self._from_elsewhere()
        if self._unasked and abs(now - self._vetted_ns) >= ASK_AGAIN:
            self._vetted_ns = now
            for name in self._unasked:
                self._spawn(self._check_again(name))
        engine = self._engine
        if engine is None:
            return
        if engine.unread and Block.TOKEN not in engine.blocks and abs(now - self._asked_ns) >= ASK_AGAIN:
            self._asked_ns = now
            self._spawn(self._ask_again())
        if connection := self.connections.get(self.trading):
            held = sum(1 for life in engine.manager.lives.values() if not life.closed)
            connection.budget.open_exits = EXITS_A_RUNG * held
        if self.source.outdated:
            self._spawn(self._renew())
        self._prices_come(engine, now)

    async def _renew(self) -> None:
        """A day that was opened early has yesterday's instruments."""
        if await self.source.refresh():
            self.again("instruments have changed in today's list")

    async def _ask_again(self) -> None:
        """A broker that could not be read is read again, and told of only when it can be."""
        connection = self.connections.get(self.trading) or next(iter(self.connections.values()))
        try:
            if not await connection.session_fault():
                self.again(f"{connection.name} {ANSWERS}")
        except BrokerException:
            return

    def _prices_come(self, engine: LiveTradingEngine, now: int) -> None:
        """Entries stop while nothing is known of the market; a long gap is filled from the broker's candles."""
        self.feed.look()
        if fault := self.feed.fault():
            self._away_ns = self._away_ns or now
            if now - self._away_ns >= CONNECTS and engine.block(Block.STALE):  # before that nothing is traded either
                engine.alert(f"no prices ({fault}): entries stopped; stops that rest at the exchange hold")
            return
        engine.release(Block.STALE)
        gap = now - self._away_ns if self._away_ns else 0
        self._away_ns = 0
        if gap >= GAP and not engine.unread:
            self.again(f"no prices for {gap // SECOND} s: the gap is filled from the candles")

    def _alert(self, text: str, data: Mapping[str, Any] | None = None) -> None:
        if self._engine is not None:
            self._engine.alert(text, data=data)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
