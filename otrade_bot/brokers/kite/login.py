"""The daily login at Kite, through the official client.

Kite's address has no state of its own: what is given as ``redirect_params`` comes back in the redirected address.
No text of an answer is ever told but Kite's own refusal: a torn one may hold the token.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from otrade_bot.brokers.kite.client import KiteSettings, Lane
from otrade_bot.brokers.kite.outcomes import REFUSALS
from otrade_bot.brokers.logins import code_of, in_thread
from otrade_bot.brokers.outcomes import said
from otrade_bot.brokers.tokens import Token, next_expiry
from otrade_bot.core.clock import Clock
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.masking import register_secret

__all__ = ["KiteLogin"]


class KiteLogin:
    """One Kite Connect app. ``root`` and ``login_root`` are addresses without a path."""

    name = "kite"

    def __init__(self, api_key: str, api_secret: str, *, root: str, login_root: str, clock: Clock) -> None:
        self._api_key, self._api_secret = api_key, api_secret
        self._root, self._login_root, self._clock = root, login_root, clock
        register_secret(api_secret)

    def url(self, state: str) -> str:
        kite = self._lane().kite
        kite._default_login_uri = f"{self._login_root.rstrip('/')}/connect/login"  # on this object alone
        return f"{kite.login_url()}&{urlencode({'redirect_params': urlencode({'state': state})})}"

    async def exchange(self, redirected: str) -> Token:
        code = code_of(redirected, self.name)
        return await in_thread("Kite", lambda: self._exchange(code))

    async def vet(self, value: str) -> Token:
        register_secret(value)
        return await in_thread("Kite", lambda: self._vet(value))

    def _lane(self) -> Lane:
        return Lane(KiteSettings(self._api_key, root=self._root))

    def _exchange(self, code: str) -> Token:
        lane = self._lane()
        try:
            try:
                session = lane.call(lambda kite: kite.generate_session(code, self._api_secret))
            except Exception as error:
                session = _without_login_time(error, lane)
            value = session.get("access_token") if isinstance(session, dict) else None
            if not isinstance(value, str) or not value:
                raise BrokerException("Kite took the login, and its answer has no token: log in again")
            register_secret(value)
            return self._token(lane, value, session.get("user_id"))
        finally:
            lane.renew()

    def _vet(self, value: str) -> Token:
        lane = self._lane()
        try:
            lane.kite.set_access_token(value)
            return self._token(lane, value, None)
        finally:
            lane.renew()

    def _token(self, lane: Lane, value: str, told: Any) -> Token:
        """With the account that the profile names; ``told``, where given, must be the same."""
        try:
            profile = lane.call(lambda kite: kite.profile())
        except Exception as error:
            raise _fault("the profile", error, lane) from None
        user = profile.get("user_id") if isinstance(profile, dict) else None
        if not isinstance(user, str) or not user.strip() or told not in (None, user):
            raise BrokerException("Kite's profile does not name the account that logged in: log in again")
        now = self._clock.now_ns()
        return Token(value, user.strip(), now, next_expiry(self.name, now))


def _without_login_time(error: Exception, lane: Lane) -> dict[str, Any]:
    """The client stumbles over an answer without a login time after it has taken the token. Raises for the rest."""
    if isinstance(error, KeyError) and error.args == ("login_time",) and lane.kite.access_token:
        return {"access_token": lane.kite.access_token}
    raise _fault("the login", error, lane) from None


def _fault(what: str, error: Exception, lane: Lane) -> BrokerException:
    from kiteconnect.exceptions import KiteException

    seen = lane.seen()
    status = f" (HTTP {seen.status})" if seen else ""
    if isinstance(error, KiteException) and seen is not None and seen.error_type in REFUSALS and seen.status < 500:
        return TokenException(f"Kite refuses {what}{status}: {said(str(error)).rstrip('.')}")
    return BrokerException(f"Kite could not be asked for {what}{status}: {type(error).__name__}")
