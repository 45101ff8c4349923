"""The daily login at Upstox, through the official client: by a page that sends a code back, or by consent in the app.

No text of an answer is ever told but Upstox's own refusal: a torn one may hold the token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from otrade_bot.brokers.logins import code_of, in_thread
from otrade_bot.brokers.outcomes import said
from otrade_bot.brokers.tokens import Token, jwt_times, next_expiry
from otrade_bot.brokers.upstox.outcomes import objections
from otrade_bot.brokers.upstox.wire import UpstoxSettings, _client
from otrade_bot.core.clock import Clock
from otrade_bot.core.errors import BrokerException, TokenException
from otrade_bot.core.masking import register_secret

__all__ = ["UpstoxLogin"]

VERSION = "2.0"


class UpstoxLogin:
    """One Upstox app. ``root`` is an address without a path, ``redirect_uri`` the one registered with the app."""

    name = "upstox"

    def __init__(self, api_key: str, api_secret: str, redirect_uri: str, *, root: str, clock: Clock) -> None:
        self.api_key = api_key
        self._api_secret, self._redirect_uri = api_secret, redirect_uri
        self._root, self._clock = root.rstrip("/"), clock
        register_secret(api_secret)

    def url(self, state: str) -> str:
        asked = {
            "response_type": "code", "client_id": self.api_key, "redirect_uri": self._redirect_uri, "state": state,
        }  # fmt: skip
        return f"{self._root}/v2/login/authorization/dialog?{urlencode(asked)}"

    async def exchange(self, redirected: str) -> Token:
        code = code_of(redirected, self.name)
        return await in_thread("Upstox", lambda: self._exchange(code))

    async def vet(self, value: str) -> Token:
        register_secret(value)
        return await in_thread("Upstox", lambda: self._vet(value, None))

    async def ask_in_app(self) -> None:
        """Upstox asks the account's owner in its app; on consent the token goes to the app's notifier address.

        Raises TokenException, BrokerException.
        """
        await in_thread("Upstox", self._ask_in_app)

    def _exchange(self, code: str) -> Token:
        given = {
            "code": code, "client_id": self.api_key, "client_secret": self._api_secret,
            "redirect_uri": self._redirect_uri, "grant_type": "authorization_code",
        }  # fmt: skip
        with self._open() as (sdk, client):
            told = _asked("the login", sdk.LoginApi(client).token, VERSION, **given)
        value = told.get("access_token")
        if not isinstance(value, str) or not value:
            raise BrokerException("Upstox took the login, and its answer has no token: log in again")
        return self._vet(value, told.get("user_id"))

    def _vet(self, value: str, told: Any) -> Token:
        """With the account that the profile names; ``told``, where given, must be the same."""
        register_secret(value)
        with self._open() as (sdk, client):
            client.configuration.access_token = value
            answer = _asked("the profile", sdk.UserApi(client).get_profile, VERSION)
        profile = answer.get("data")
        user = profile.get("user_id") if isinstance(profile, dict) else None
        if not isinstance(user, str) or not user.strip() or told not in (None, user):
            raise BrokerException("Upstox's profile does not name the account that logged in: log in again")
        if isinstance(profile, dict) and profile.get("is_active") is False:
            raise TokenException("Upstox says that the account is not active")
        now = self._clock.now_ns()
        times = jwt_times(value)
        return Token(value, user.strip(), now, times[1] if times else next_expiry(self.name, now))

    def _ask_in_app(self) -> None:
        with self._open() as (sdk, client):
            body = sdk.IndieUserTokenRequest(client_secret=self._api_secret)
            call = sdk.LoginApi(client).init_token_request_for_indie_user
            _asked("consent in its app", call, body, self.api_key)

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """The client on the leash of ``wire``, for a moment."""
        import upstox_client as sdk

        client = _client(sdk, UpstoxSettings(host=self._root, order_host=self._root, threads=1))
        client.configuration.access_token = ""
        try:
            yield sdk, client
        finally:
            client.pool.close()
            client.pool.join()
            client.rest_client.pool_manager.clear()


def _asked(what: str, call: Callable[..., Any], *args: Any, **fields: Any) -> dict[str, Any]:
    """One request, sent once. Raises TokenException where Upstox says no, else BrokerException."""
    try:
        response = call(*args, **fields, _preload_content=False, _request_timeout=(3.0, 7.0))
        try:
            told = json.loads(bytes(response.data))
        finally:
            response.release_conn()
    except Exception as error:
        raise _fault(what, error) from None
    if not isinstance(told, dict):
        raise BrokerException(f"Upstox's answer to {what} is none")
    return told


def _fault(what: str, error: Exception) -> BrokerException:
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return BrokerException(f"Upstox could not be asked for {what}: {type(error).__name__}")
    found = objections(getattr(error, "body", None) or b"")
    if found and 400 <= status < 500 and status != 429:
        why = said("; ".join(text for _, text in found)).rstrip(".")
        return TokenException(f"Upstox refuses {what} (HTTP {status}): {why}")
    return BrokerException(f"Upstox could not be asked for {what} (HTTP {status})")
