"""The doctor's questions to a broker, which is opened without leave to order anything."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from otrade_bot.brokers.factory import BrokerFactory
from otrade_bot.brokers.middleware import UnifiedBrokerMiddleware
from otrade_bot.brokers.stream import StreamState
from otrade_bot.brokers.tokens import FILE, TokenStore, token_for
from otrade_bot.core.clock import SECOND, to_ist
from otrade_bot.core.errors import ConfigException, TokenException
from otrade_bot.core.money import rupees_text, to_paise
from otrade_bot.service.doctor import (
    PATIENCE,
    Check,
    Doubt,
    Patient,
    runner,
    session_now,
)
from otrade_bot.service.journal import read_day
from otrade_bot.trading.orders import Tags
from otrade_bot.trading.risk import MARGIN_LEVERAGE

if TYPE_CHECKING:
    from otrade_bot.brokers.listing import Listing

__all__ = ["FEED", "LISTING", "Surgery", "client", "with_token"]

#: s; a day's list of instruments is megabytes, and prices are waited for after it.
LISTING, FEED = 20.0, 30.0
FRAME = 8.0
SKEW = 5.0
LOG_IN = "otrade-bot login {name}, or /login from the phone"


class _Peeked(TokenStore):
    """The kept tokens, looked at and left alone: what another user of the machine writes the service cannot read."""

    def first_seen(self, broker: str, value: str, now_ns: int) -> int:
        return now_ns


class Surgery:
    """One broker, opened for looking. ``close`` it."""

    def __init__(self, patient: Patient, name: str) -> None:
        self.patient, self.name = patient, name
        self._broker: UnifiedBrokerMiddleware | None = None
        self._token, self._expires, self._looked = "", 0, False
        self._listing: asyncio.Task[Listing] | None = None
        self._spare = tempfile.TemporaryDirectory(prefix="otrade-doctor-")

    async def broker(self) -> UnifiedBrokerMiddleware:
        """With a token. Raises Doubt where there is none."""
        if not self._token:
            raise Doubt("not asked: there is no token", LOG_IN.format(name=self.name))
        return self._open()

    def _open(self) -> UnifiedBrokerMiddleware:
        if self._broker is None:
            given = self.patient
            self._broker = BrokerFactory.create_broker(
                self.name, given.secrets, access_token=self._token, clock=given.clock, mode="paper",
                config=given.config.brokers,
            )  # fmt: skip
        return self._broker

    def find_token(self) -> None:
        """From the environment or the store, once; its absence is told by the checks. Raises ConfigException."""
        if self._looked:
            return
        given = self.patient
        key = given.secrets.secret_key
        store = _Peeked(given.state_dir / FILE, key.get_secret_value() if key else "")
        found = token_for(self.name, given.secrets, store, given.clock.now_ns())
        self._token, self._expires = (found.value, found.expires_ns) if found else ("", 0)
        self._looked = True

    async def close(self) -> None:
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)
        if self._broker is not None:
            await self._broker.aclose()
        self._spare.cleanup()

    # --- the checks ---
    async def token(self) -> str:
        self.find_token()
        if not self._token:
            raise Doubt(f"{self.name}: none that still holds", LOG_IN.format(name=self.name))
        fault = await self._open().session_fault()
        if fault:
            raise Doubt(f"{self.name}: {fault}", LOG_IN.format(name=self.name))
        return f"{self.name} takes it, to {to_ist(self._expires):%a %H:%M}"

    async def clock(self) -> str:
        """HTTP's Date has whole seconds; the answer's own time on the way is halved."""
        address = getattr(self.patient.secrets, f"{self.name}_root")
        async with client() as http:
            began = self.patient.clock.now_ns()
            answer = await http.get(address)
            ended = self.patient.clock.now_ns()
        stamp = answer.headers.get("Date")
        if stamp is None:
            return f"not compared: {self.name}'s answer bears no date"
        skew = (began + ended) / 2 / SECOND - (parsedate_to_datetime(stamp).timestamp() + 0.5)
        if abs(skew) > SKEW:
            word = "ahead of" if skew > 0 else "behind"
            raise Doubt(f"{abs(skew):.0f} s {word} {self.name}'s", "set the clock by NTP: timedatectl set-ntp true")
        return f"within {max(1.0, abs(skew)):.0f} s of {self.name}'s"

    async def listing(self) -> Listing:
        """The day's list, read once for all who ask. Raises Doubt, BrokerException."""
        if self._listing is None:
            self._listing = asyncio.create_task(self._list())
        return await asyncio.shield(self._listing)

    async def _list(self) -> Listing:
        given = self.patient
        from otrade_bot.brokers.listing import FOLDER, Listings

        kept = given.state_dir if _ours(given.state_dir) else Path(self._spare.name)
        lists = Listings(
            kept / FOLDER, given.clock, overrides=given.config.market.instrument_overrides(),
            assets_root=given.secrets.upstox_assets_root,
        )  # fmt: skip
        return await lists.today(await self.broker(), given.today, given.symbols)

    async def instruments(self) -> str:
        found, unknown = await self.listing(), []
        for symbol in self.patient.symbols:
            try:
                found.resolve(symbol)
            except ConfigException as error:
                unknown.append(str(error))
        if unknown:
            raise Doubt("; ".join(unknown[:3]), "mend the names in trading.json")
        said = f"{len(self.patient.symbols)} found in {self.name}'s list of {found.day}"
        return f"{said}; {found.said}" if found.said else said

    async def funds(self) -> str:
        trading = self.patient.config.trading
        funds = await (await self.broker()).get_funds()
        own = (given.capital_per_position or 0 for given in trading.strategies)
        one = max(trading.capital_per_position, *own)
        least = to_paise(one) // MARGIN_LEVERAGE[trading.product.intraday]
        said = f"{rupees_text(funds.available)} available"
        if funds.available < least:
            raise Doubt(f"{said}; one position needs {rupees_text(least)}", "add funds, or lower capital_per_position")
        return said

    async def feed(self) -> str:
        """A handshake, and while the market is open a price."""
        given = self.patient
        here = runner(given.state_dir)
        if here.alive:  # a second stream could take the first one's place
            age = here.heart.get("feed_age_s")
            fresh = age is not None and age < given.config.risk.stale_price_seconds
            if session_now(given) and not fresh:
                raise Doubt(f"the running service's last price is {age} s old", "see /health")
            return "the running service has it" + (f", last price {age} s ago" if age is not None else "")
        listing, broker = await self.listing(), await self.broker()
        broker.learn(listing)
        broker.subscribe(given.symbols)
        return await _frame(self.name, broker, priced=session_now(given) is not None)

    async def tags(self) -> str:
        """Orders of ours that nobody here has sent. The journal is written before an order leaves."""
        given = self.patient
        book = await (await self.broker()).get_orderbook()
        ours = Tags(given.config.brokers.instance)
        known = {line.get("tag") for line in read_day(given.state_dir, given.today)}
        strange = [order.tag for order in book if ours.read(order.tag) and order.tag not in known]
        if strange:
            raise Doubt(
                f"{len(strange)} orders of today bear our tags ({ours.instance}…) and stand in no journal here",
                "another otrade-bot trades this account: stop it, or give it another instance in brokers.json",
            )
        return ""


def _ours(folder: Path) -> bool:
    """It is there, and belongs to who asks."""
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


async def _frame(name: str, broker: UnifiedBrokerMiddleware, *, priced: bool) -> str:
    began, over = time.monotonic(), asyncio.Event()
    told: list[Doubt] = []

    def state(what: str, now: StreamState, why: str) -> None:
        if what != "prices":
            return
        if now in (StreamState.REFUSED, StreamState.OFFLINE):
            cure = LOG_IN.format(name=name) if now is StreamState.REFUSED else "look at the network and the address"
            told.append(Doubt(f"{name}'s stream: {now.value}: {why}", cure))
            over.set()
        elif now is StreamState.LIVE and not priced:
            over.set()

    broker.on_state = state
    broker.on_prices = lambda prices: over.set()
    work = asyncio.create_task(broker.streams.run())
    try:
        async with asyncio.timeout(FRAME):
            await over.wait()
    except TimeoutError:
        what = "no price, though the market is open" if priced else "nothing came"
        raise Doubt(f"{name}'s stream: {what} within {FRAME:g} s", "try again; see the broker's status page") from None
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    if told:
        raise told[0]
    took = f"{time.monotonic() - began:.1f} s"
    return f"{name}: a {'price' if priced else 'frame'} after {took}" + ("" if priced else "; the market is closed")


def client() -> httpx.AsyncClient:
    """Orders know no proxy, so neither does what speaks for them."""
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=PATIENCE)


def with_token(room: Surgery, check: Check) -> Check:
    """What needs the token: a broker that says no to it is named by the check of the token alone."""

    async def asked() -> str:
        room.find_token()
        try:
            return await check()
        except TokenException:
            raise Doubt("not asked: the token is not taken", LOG_IN.format(name=room.name)) from None

    return asked
