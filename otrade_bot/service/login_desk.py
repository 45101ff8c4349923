"""Daily logins: who began one, and whether the token that comes back may be kept.

Against a planted token (somebody else's account, in which our orders would be placed) stand three things. A login is
begun in a private chat or at the terminal, and its one-time state counts for that person and place alone, for ten
minutes. What comes back without that state is refused. And a token of another account than before is kept only after
a yes of the admin who logged in.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from otrade_bot.brokers.tokens import Login, Token, TokenStore
from otrade_bot.control.reply import Reply, Told, bold, lines, text
from otrade_bot.core.clock import to_ist
from otrade_bot.core.errors import BrokerException, CommandException, ConfigException, TokenException
from otrade_bot.core.lang import phrase, t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.ports import LoginEnd, LoginPage
from otrade_bot.core.redirects import Redirected, redirected
from otrade_bot.service.logs import get_logger

__all__ = ["AGAIN", "SECONDS", "OnToken", "ServiceLogins"]

#: How long a login that was begun counts, s.
SECONDS = 600.0
MINUTES = f"{SECONDS / 60:.0f}"
#: Begun at a time; more would be no person's.
MOST = 32

#: Called once a new token is on disk; what it returns is said to the person, too.
OnToken = Callable[[str, Token], Awaitable[str | None] | str | None]

#: What to do after a failure, said in a chat.
AGAIN = phrase("Send /login for a new address.")


@dataclass(frozen=True, slots=True)
class _Begun:
    session: str
    broker: str
    until: float


@dataclass(frozen=True, slots=True)
class _Held:
    broker: str
    token: Token
    until: float


@dataclass(frozen=True, slots=True)
class _End:
    """A LoginEnd that is said to each in his language."""

    said: Callable[[], str]
    account: str = ""

    def words(self) -> Reply:
        return lines(self.said(), t("Send /login to decide.") if self.account else "")


class ServiceLogins:
    """The LoginDesk of a service (core/ports).

    ``brokers``: those that want a login, the one that takes the orders first. ``make`` gives a broker's Login and may
    raise ConfigException. ``tell`` puts a message into the admins' chats: for what ends without a chat. ``listening``:
    the browser is sent back to a ``Callback`` of this process. ``steady`` gives seconds that always advance. ``again``:
    what to do after a failure.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        make: Callable[[str], Login],
        store: TokenStore,
        *,
        on_token: OnToken = lambda broker, token: None,
        tell: Callable[[Told], None] = lambda reply: None,
        listening: bool = False,
        steady: Callable[[], float] = time.monotonic,
        again: str = AGAIN,
    ) -> None:
        self._brokers, self._make, self._store = tuple(brokers), make, store
        self.on_token, self.tell, self._listening, self._steady = on_token, tell, listening, steady
        self._again = again
        self._logins: dict[str, Login] = {}
        self._begun: dict[str, _Begun] = {}  #: by the digest of the state
        self._asked: dict[str, _Begun] = {}  #: consent in the app, by broker
        self._held: dict[str, _Held] = {}  #: another account's token, by session
        self._judging = asyncio.Lock()  #: of two first logins at once the second must see the first one's account

    # --- what a person begins ---
    async def begin(self, session: str, broker: str = "") -> LoginPage:
        name = self._named(broker)
        _alone(session)
        login = await self._ready(name)
        now, state = self._steady(), secrets.token_urlsafe(32)
        self._begun = {
            key: one for key, one in self._begun.items()
            if one.until > now and (one.session, one.broker) != (session, name)
        }  # fmt: skip
        if len(self._begun) >= MOST:
            raise CommandException(t("Too many logins are open. Try again in ten minutes."))
        url = await asyncio.to_thread(login.url, state)
        self._begun[_digest(state)] = _Begun(session, name, now + SECONDS)
        get_logger().info("login begun", broker=name, session=session)
        return LoginPage(name, url, SECONDS, self._listening)

    async def approve(self, session: str, broker: str) -> str:
        name = self._named(broker)
        _alone(session)
        login = await self._ready(name)
        ask: Callable[[], Awaitable[None]] | None = getattr(login, "ask_in_app", None)
        if ask is None:
            said = t("{broker} knows no consent in its app.", broker=name.capitalize())
            raise CommandException(f"{said} {t(self._again)}")
        if not self._listening:
            raise CommandException(t("brokers.json: login.listen is not set, so the token could not come here."))
        try:
            await ask()
        except BrokerException as error:
            raise CommandException(f"{error}") from None
        self._asked[name] = _Begun(session, name, self._steady() + SECONDS)
        get_logger().info("consent asked", broker=name, session=session)
        return t("{broker} asks you in its app now: say yes there within {minutes} min.", broker=name.capitalize(),
                 minutes=MINUTES)  # fmt: skip

    # --- what comes back ---
    async def finish(self, text: str, session: str) -> LoginEnd:
        found = redirected(text)
        if found is None:
            why = t("That is no address of a login. Paste it whole, as the browser shows it.")
            raise CommandException(f"{why} {t(self._again)}")
        begun = self._taken(found, session)
        end = await self._exchanged(begun, found)
        return LoginEnd(end.said(), end.account)

    async def came_back(self, query: str) -> str:
        """The browser is here (``service/callback``): what its page says. A stranger who guesses is told so there, and
        nobody else hears of him."""
        found = redirected(f"?{query}")
        if found is None or not found.state:
            return t("This is no address of a login that was begun here. Nothing was done.")
        try:
            begun = self._taken(found, "")
        except CommandException as error:
            return str(error)
        try:
            end = await self._exchanged(begun, found)
        except CommandException as error:
            self._failed(error)
            return str(error)
        self.tell(end.words)
        return " ".join((*end.words().to_plain().splitlines(), t("You may close this page.")))

    async def delivered(self, told: Any) -> None:
        """What a broker's notifier posted to the secret path: Upstox's token after consent. Never raises."""
        fields = told if isinstance(told, dict) else {}
        value, now = fields.get("access_token"), self._steady()
        begun = self._asked.pop("upstox", None)
        if begun is None or begun.until <= now:
            get_logger().warning("a token was delivered that nobody had asked for: refused")
            return
        login = self._logins["upstox"]
        meant = fields.get("client_id") == getattr(login, "api_key", None)
        if not isinstance(value, str) or not value or not meant or fields.get("message_type") != "access_token":
            self._asked["upstox"] = begun  # not the answer to our question, which stays open
            get_logger().warning("something that is no token of ours was delivered: refused")
            return
        try:
            end = await self._judged(begun, await login.vet(value), sure=False)
        except (BrokerException, CommandException) as error:
            self._failed(error)
            return
        self.tell(end.words)

    def _failed(self, error: Exception) -> None:
        said = str(error)
        self.tell(lambda: text(bold(t("Login failed:")), f" {said}"))

    # --- another account ---
    def waiting(self, session: str) -> str:
        held = self._held.get(session)
        if held is not None and held.until <= self._steady():
            del self._held[session]
            held = None
        return held.token.user if held is not None else ""

    async def accept(self, session: str) -> str:
        if not self.waiting(session):
            raise CommandException(f"{t('No other account waits for a yes.')} {t(self._again)}")
        held = self._held.pop(session)
        return (await self._kept(held.broker, held.token, session))()

    def drop(self, session: str) -> bool:
        return self._held.pop(session, None) is not None

    def forget(self, user_id: int) -> None:
        """He is no admin any more: nothing that he has begun comes to an end."""
        his = f"telegram:{user_id}:"
        self._begun = {key: one for key, one in self._begun.items() if not one.session.startswith(his)}
        self._asked = {name: one for name, one in self._asked.items() if not one.session.startswith(his)}
        self._held = {session: one for session, one in self._held.items() if not session.startswith(his)}

    # --- inside ---
    def _named(self, broker: str) -> str:
        name = broker or (self._brokers[0] if self._brokers else "")
        if name not in self._brokers:
            known = t(" and ").join(self._brokers) or t("no broker")
            if not name:
                raise CommandException(t("There is a login for {known} here.", known=known))
            raise CommandException(t("There is a login for {known} here, none for {name}.", known=known, name=name))
        return name

    async def _ready(self, name: str) -> Login:
        """The broker's login, after what would fail at its end has been looked at."""
        try:
            await asyncio.to_thread(self._store.check)
            if name not in self._logins:
                self._logins[name] = await asyncio.to_thread(self._make, name)
        except ConfigException as error:
            raise CommandException(t("No login is possible: {error}", error=error)) from None
        return self._logins[name]

    def _taken(self, found: Redirected, session: str) -> _Begun:
        """The login that this is the answer to, used up by it. ``session`` '': the browser itself, whose state is all
        that tells."""
        key, now = _digest(found.state), self._steady()
        if not found.state and found.broker == "" and not session.startswith("telegram:"):
            key = next((k for k, one in reversed(self._begun.items()) if one.session == session), "")  # code alone
        # A state that another person holds has leaked, so it is used up as well; he is told nothing of it.
        begun = self._begun.pop(key, None)
        if begun is None or (session and begun.session != session) or found.broker not in ("", begun.broker):
            missing = (
                t("No open login of yours has that state: nothing was done with it.")
                if found.state
                else t("The address has no state in it: nothing was done with it.")
            )
            raise CommandException(f"{missing} {t(self._again)}")
        if begun.until <= now:
            late = t("Too late: an address counts for {minutes} min.", minutes=MINUTES)
            raise CommandException(f"{late} {t(self._again)}")
        return begun

    async def _exchanged(self, begun: _Begun, found: Redirected) -> _End:
        name = begun.broker.capitalize()
        if found.refused:
            why = t("{broker} sent you back without a code: the login was not completed.", broker=name)
            raise CommandException(f"{why} {t(self._again)}")
        try:
            token = await self._logins[begun.broker].exchange(found.code)
        except (TokenException, BrokerException) as error:
            get_logger().warning("login failed", broker=begun.broker, session=begun.session, why=str(error))
            raise CommandException(f"{error}. {t(self._again)}") from None
        return await self._judged(begun, token, sure=True)

    async def _judged(self, begun: _Begun, token: Token, *, sure: bool) -> _End:
        """Kept where it is the account of before; ``sure``: also where none is known."""
        async with self._judging:
            known = await asyncio.to_thread(self._known, begun.broker)
            if token.user == known or (not known and sure):
                return _End(await self._kept(begun.broker, token, begun.session))
        self._held[begun.session] = _Held(begun.broker, token, self._steady() + SECONDS)
        get_logger().warning("login with another account", broker=begun.broker, user=token.user, known=known)
        values = {"user": token.user, "broker": begun.broker.capitalize(), "known": known}

        def said() -> str:
            before = t("That login is the account {user} at {broker}; until now it was {known}. Nothing was changed.")
            new = t("That login is the account {user} at {broker}; no account was known before. Nothing was changed.")
            return (before if known else new).format_map(values)

        return _End(said, token.user)

    def _known(self, broker: str) -> str:
        try:
            stored = self._store.load(broker)
        except ConfigException as error:
            raise CommandException(t("No login is possible: {error}", error=error)) from None
        return stored.user if stored is not None else ""

    async def _kept(self, broker: str, token: Token, session: str) -> Callable[[], str]:
        """What to say of it."""
        try:
            await asyncio.to_thread(self._store.save, broker, token)
        except ConfigException as error:
            raise CommandException(t("Logged in, but the token could not be kept: {error}", error=error)) from None
        get_logger().info("logged in", broker=broker, user=token.user, session=session, until_ns=token.expires_ns)
        until = f"{to_ist(token.expires_ns):%a %d %b %H:%M} IST"
        fault, more = "", ""
        try:
            done = self.on_token(broker, token)
            more = (await done if isawaitable(done) else done) or ""
        except Exception as error:
            fault = type(error).__name__
            with suppress(Exception):
                get_logger("error").error("a new token was not taken up", broker=broker, error=mask_text(repr(error)))

        def said() -> str:
            logged = t("Logged in to {broker} as {user}. The token holds until {until}.", broker=broker.capitalize(),
                       user=token.user, until=until)  # fmt: skip
            lost = t("But the service could not take it up ({error}): look at /status.", error=fault) if fault else more
            return " ".join(filter(None, (logged, lost)))

        return said


def _alone(session: str) -> None:
    """In a group everybody would see the address, with the state in it."""
    if session.startswith("telegram:"):
        person, _, chat = session.removeprefix("telegram:").partition(":")
        if person != chat:
            said = t("A login is begun in your private chat with the bot, or by `otrade-bot login`.")
            raise CommandException(said)


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
