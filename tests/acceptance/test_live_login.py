"""The real ``otrade-bot run`` at a broker without a token: it stays up, is logged in to from the phone, and goes on.

The day of the week does not matter: what is looked at is the login, not the market.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from otrade_bot.brokers.tokens import FILE, Token, TokenStore
from otrade_bot.core.redirects import PASTED
from tests.acceptance.service_room import OPERATOR, OWNER, ServiceRoom
from tests.venues.kite import Kite
from tests.venues.telegram import BotApi, Sent
from tests.venues.upstox import UpstoxApi

KEY = "the key of this acceptance"
BROKERS = ("kite", "upstox")


@dataclass
class Live:
    room: ServiceRoom
    api: BotApi
    venue: Kite | UpstoxApi
    broker: str
    environment: dict[str, str]

    async def answer(self, line: str, words: str, who: int = OWNER) -> Sent:
        """The message with these words that comes after the line was said."""
        before = len(self.api.sent)
        self.api.say(who, line)

        def there() -> list[Sent]:
            return [one for one in self.api.sent[before:] if one.chat_id == who and words in one.text]

        await self.room.until(lambda: bool(there()), 60, f"{words!r} after {line[:20]!r}")
        return there()[0]

    async def page(self) -> str:
        """The login page's address, from the button."""
        said = await self.answer("/login", "Log in to")
        [address] = [button.url for button in said.buttons]
        assert address is not None
        return address

    def written(self) -> str:
        """Everything that the service has printed, kept and sent, but for the buttons' addresses."""
        files = [one for one in self.room.folder.rglob("*") if one.is_file() and "config" not in one.parts]
        kept = [one.read_bytes().decode(errors="replace") for one in files]
        return "\n".join([*kept, *(version.html + version.text for sent in self.api.sent for version in sent.versions)])


@asynccontextmanager
async def live(
    folder: Path, broker: str, listen: str | None = None, *, product: str = "MIS",
    holdings: dict[str, tuple[int, int]] | None = None, **more: str,
) -> AsyncIterator[Live]:  # fmt: skip
    """Mode live, without a token; what happens at the venue is kept in its ``calls``."""
    venue: Kite | UpstoxApi = Kite() if broker == "kite" else UpstoxApi()
    venue.open(beat_s=0.5) if isinstance(venue, Kite) else venue.up()
    venue.exchange.holdings |= holdings or {}
    settings: dict[str, Any] = {
        "trading.json": {"mode": "live", "product": product, "strategies": [
            {"name": "ema_crossover", "instruments": ["NSE:RELIANCE"], "timeframe": "1m"},
        ]},
        "brokers.json": {"primary": broker, "feed": broker, "ip_echo": None, "login": {"listen": listen}},
    }  # fmt: skip
    environment = {
        **venue.environment(), f"OTRADE_{broker.upper()}_ACCESS_TOKEN": "", "OTRADE_LIVE": "yes",
        "OTRADE_SECRET_KEY": KEY, **more,
    }  # fmt: skip
    async with BotApi([OWNER, OPERATOR]) as api:
        room = ServiceRoom(folder, api, settings=settings)
        made = Live(room, api, venue, broker, environment)
        try:
            await room.start(**environment)
            await room.until(lambda: api.polling, 90)
            yield made
        finally:
            if room.process is not None and room.process.returncode is None:
                await room.stop()
            await venue.close()


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_service_without_a_token_is_logged_in_to_from_the_phone_and_keeps_no_secret(
    tmp_path: Path, broker: str
) -> None:
    async with live(tmp_path, broker) as at:
        pasted = at.venue.log_in(await at.page())
        said = await at.answer(pasted, "Logged in to")
        assert f"Logged in to {broker.capitalize()} as" in said.text
        await at.room.until(lambda: bool(at.api.deleted))
        assert at.api.deleted == [(OWNER, pasted)]
        token = TokenStore(at.room.state / FILE, KEY).load(broker)
        assert token is not None
        assert token.value == at.venue.token
        assert ((at.room.state / FILE).stat().st_mode & 0o777) == 0o600
        # By the login, then by the service's own connection with that token.
        await at.room.until(lambda: len([call for call in at.venue.calls if call.name == "profile"]) >= 2)
        assert await at.room.stop() == 0
        query = dict(parse_qsl(urlsplit(pasted).query))
        code = query.get("request_token") or f"code={query['code']}"
        everything = at.written()
        for secret in (token.value, code, query["state"], pasted, Kite.SECRET, UpstoxApi.SECRET, KEY):
            assert secret not in everything
        assert PASTED in everything


async def test_the_browser_that_comes_back_to_the_running_service_logs_in_without_a_paste(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    async with live(tmp_path, "upstox", listen) as at:
        back = urlsplit(at.venue.log_in(await at.page()))
        async with httpx.AsyncClient(trust_env=False) as browser:
            planted = await browser.get(f"http://{listen}/?code=planted&state=guessed")
            page = await browser.get(f"http://{listen}/?{back.query}")
            again = await browser.get(f"http://{listen}/?{back.query}")
        assert "No open login of yours has that state" in planted.text
        assert page.text.startswith("Logged in to Upstox as 2ABCDE.")
        assert "No open login of yours has that state" in again.text
        await at.room.until(lambda: any("Logged in to Upstox as 2ABCDE" in sent.text for sent in at.api.to(OWNER)))
        assert [call.name for call in at.venue.calls].count("token") == 1
        assert await at.room.stop() == 0
        state = dict(parse_qsl(back.query))["state"]
        for secret in (at.venue.token, state, "code=code", "planted", "guessed"):
            assert secret not in at.written()


async def test_an_operator_plants_no_token_in_the_running_service(tmp_path: Path) -> None:
    async with live(tmp_path, "kite") as at:
        pasted = at.venue.log_in(await at.page())
        assert "/login needs the role admin" in (await at.answer(pasted, "/login needs", OPERATOR)).text
        assert not (at.room.state / FILE).exists()
        assert "session" not in {call.name for call in at.venue.calls}


async def test_a_login_in_another_process_is_taken_up_by_the_one_that_runs(tmp_path: Path) -> None:
    async with live(tmp_path, "kite") as at:
        assert isinstance(at.venue, Kite)
        pipe = asyncio.subprocess.PIPE
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "otrade_bot", "login", stdin=pipe, stdout=pipe, cwd=tmp_path,
            env={**os.environ, **at.room.environment(), **at.environment},
        )  # fmt: skip
        assert command.stdout is not None
        back = at.venue.log_in((await command.stdout.readline()).decode().strip())
        out, _ = await asyncio.wait_for(command.communicate(f"{back}\n".encode()), 30)
        assert out.startswith(b"Logged in to Kite as AB1234.")
        asked = at.venue.hits("profile")
        await at.room.until(lambda: at.venue.hits("profile") > asked, 30)  # type: ignore[union-attr]
        last = [call for call in at.venue.calls if call.name == "profile"][-1]
        assert last.request.headers["authorization"] == f"token {Kite.API_KEY}:{at.venue.token}"




async def test_a_token_of_another_account_in_the_environment_is_not_traded_with(tmp_path: Path) -> None:
    """Somebody's token in ``.env``, where the last login was another account's."""
    store = TokenStore(tmp_path / "state" / FILE, KEY)
    store.save("kite", Token("yesterdays-token", "ZZ9999", 1, 2))
    async with live(tmp_path, "kite", OTRADE_KITE_ACCESS_TOKEN=Kite.TOKEN) as at:
        await at.room.until(lambda: "is of the account AB1234, the last login was ZZ9999" in at.written())
        assert isinstance(at.venue, Kite)
        bearing = [call.name for call in at.venue.calls if Kite.TOKEN in call.request.headers.get("authorization", "")]
        assert bearing == ["profile"]
        assert at.venue.stream.sockets.links == []
