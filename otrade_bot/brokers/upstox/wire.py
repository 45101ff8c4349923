"""Upstox's own client on a leash: timeouts that hold, nothing sent twice, no thread of trading ever blocked.

The client's Configuration is a singleton that is copied: what an earlier one was given comes back in every later
one, so each field that matters is set here and looked at again. Its float timeouts are ignored, so they are given
as a pair; urllib3 would send PUT, DELETE and GET up to four times, so its retries are off. Answers are taken as
bytes: the client's models drop a whole book for one unknown word.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from otrade_bot.brokers.outcomes import said
from otrade_bot.brokers.pace import Pace, rest, tries
from otrade_bot.brokers.upstox.outcomes import answered, objections, raised
from otrade_bot.core.errors import BrokerException, ConfigException, TokenException
from otrade_bot.core.masking import register_secret
from otrade_bot.core.model import Outcome

__all__ = ["UpstoxSettings", "Wire"]

T = TypeVar("T")
_TOKEN_CODES = frozenset({"UDAPI100050"})


@dataclass(frozen=True, slots=True)
class UpstoxSettings:
    """Addresses without a path at the end; seconds; ``protection`` in percent, -1 = automatic."""

    host: str = "https://api.upstox.com"
    order_host: str = "https://api-hft.upstox.com"
    connect_s: float = 3.0
    read_s: float = 7.0
    deadline_s: float = 20.0  #: of one request, waiting for a thread included
    threads: int = 8  #: for writes, and as many again for reads
    retries: int = 2  #: of reads
    fresh_s: float = 20.0  #: a connection idle for longer carries nothing: a new one is opened
    backoff_s: float = 0.25
    algo_name: str = ""
    protection: float = -1.0  #: of GTTs without a price, and of stops that are modified
    t1_apart: bool = False  #: ``quantity`` of a holding leaves out what was bought yesterday


class Wire:
    """One client, two thread pools: reads that hang keep no exit waiting.

    Raises ConfigException where the client does not hold what it was given.
    """

    def __init__(self, settings: UpstoxSettings, token: str) -> None:
        import upstox_client as sdk  # 0.2 s that only those pay who trade there

        self.sdk = sdk
        self._settings = settings
        self.pace: Pace | None = None  #: of reads, where somebody counts them
        self._timeout = (float(settings.connect_s), float(settings.read_s))
        self._client = _client(sdk, settings)
        self.set_access_token(token)
        self.writes, self.reads = (
            ThreadPoolExecutor(settings.threads, thread_name_prefix=f"upstox-{name}") for name in ("writes", "reads")
        )
        self.orders = sdk.OrderApiV3(self._client)
        self.books = sdk.OrderApi(self._client)
        self.portfolio = sdk.PortfolioApi(self._client)
        self.user = sdk.UserApi(self._client)
        self.quotes = sdk.MarketQuoteV3Api(self._client)
        self.history = sdk.HistoryV3Api(self._client)

    @property
    def token(self) -> str:
        return str(self._client.configuration.access_token)

    def set_access_token(self, token: str) -> None:
        """From the next call on."""
        register_secret(token)
        self._client.configuration.access_token = token

    async def close(self) -> None:
        """Wait for what is under way (each bounded by its timeouts), then close the connections. What has not begun
        is not sent any more."""
        for pool in (self.writes, self.reads):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
        self._client.pool.close()
        self._client.pool.join()
        self._client.rest_client.pool_manager.clear()

    async def keep_warm(self) -> None:
        """Ask the order host for nothing, on the connection that the next order takes. Raises BrokerException."""
        import urllib3

        pool, url = self._client.rest_client.pool_manager, self._settings.order_host + "/"
        timeout = urllib3.Timeout(connect=self._settings.connect_s, read=self._settings.read_s)
        try:
            await self._in(self.writes, lambda: pool.request("GET", url, timeout=timeout, redirect=False))
        except Exception as error:
            raise _fault("keeping warm", error) from None

    async def write(self, call: Callable[..., Any], *args: Any, **fields: Any) -> Outcome:
        """One request, sent at most once. Raises nothing."""
        return await self._judged(self.writes, lambda: answered(*self._ask(call, args, fields)))

    async def look(self, what: str, call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
        """A read that a write needs first: the ``data``, or how the write ends for want of it."""
        return await self._judged(self.reads, lambda: _data(what, self._ask(call, args, fields)[1]))

    async def _judged(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T | Outcome:
        try:
            return await self._in(pool, work)
        except Exception as error:
            return raised(error)

    async def read(self, what: str, call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
        """The ``data`` of the answer; asked again a few times where that may help.

        Raises BrokerException; TokenException where the token is the matter.
        """
        attempt = 0
        while True:
            if self.pace is not None:
                await self.pace.turn(what)
            try:
                return _data(what, (await self._in(self.reads, lambda: self._ask(call, args, fields)))[1])
            except BrokerException:
                raise
            except Exception as error:
                if attempt >= tries(self._settings.retries, self.pace, busy=_busy(error)) or not _passing(error):
                    raise _fault(what, error) from None
            await rest(attempt, self._settings.backoff_s)
            attempt += 1

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """In a thread. Raises TimeoutError at the deadline, RuntimeError where the pool is closed; what has not begun
        by then, or when the asker gives up, is not sent any more."""
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        try:
            done, _ = await asyncio.wait({future}, timeout=self._settings.deadline_s)
        finally:
            future.cancel()  # asyncio would print an error that nobody asks for, with the answer and a token in it
        if not done:
            raise TimeoutError(f"no answer within {self._settings.deadline_s:g} s")
        if future.cancelled():
            raise RuntimeError("the broker was closed before it was sent")
        return future.result()

    def _ask(self, call: Callable[..., Any], args: tuple[Any, ...], fields: dict[str, Any]) -> tuple[int, bytes]:
        response = call(*args, **fields, _preload_content=False, _request_timeout=self._timeout)
        try:
            return int(response.status), bytes(response.data)
        finally:
            response.release_conn()


def _busy(error: Exception) -> bool:
    return getattr(error, "status", None) == 429


def _passing(error: Exception) -> bool:
    """Whether a read may go better a moment later."""
    status = getattr(error, "status", None)
    return not isinstance(status, int) or status == 429 or status >= 500


def _client(sdk: Any, settings: UpstoxSettings) -> Any:
    import urllib3

    from otrade_bot.brokers.upstox.fresh import fresh_pools  # brings urllib3, as Upstox's client does

    configuration = sdk.Configuration()
    configuration.sandbox, configuration.debug, configuration.proxy = False, False, None
    configuration.host, configuration.order_host = settings.host, settings.order_host
    configuration.verify_ssl, configuration.connection_pool_maxsize = True, 2 * settings.threads
    for logger in configuration.logger.values():  # the first configuration of a process hangs it on them
        logger.removeHandler(configuration.logger_stream_handler)
    client = sdk.ApiClient(configuration)
    client.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(total=False)
    client.rest_client.pool_manager.pool_classes_by_scheme = fresh_pools(settings.fresh_s)
    _look_again(client, settings)
    return client


def _look_again(client: Any, settings: UpstoxSettings) -> None:
    """Raises ConfigException: orders would go elsewhere, or twice."""
    held = client.configuration
    pool = client.rest_client.pool_manager.connection_from_url(settings.order_host)
    told = (held.sandbox, held.host, held.order_host, held.verify_ssl, pool.retries.total)
    meant = (False, settings.host, settings.order_host, True, False)
    if told != meant:
        client.pool.close()
        raise ConfigException("Upstox's client does not hold what it was given", value=told, allowed=repr(meant))


def _fault(what: str, error: Exception) -> BrokerException:
    """Of anything that a read can raise; one line, without secrets."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return BrokerException(f"Upstox: {what}: {said(f'{type(error).__name__}: {error}')}")
    found = objections(getattr(error, "body", None) or b"")
    told = "; ".join(f"{code} {text}" for code, text in found) or str(getattr(error, "reason", ""))
    kind = TokenException if status == 401 or _TOKEN_CODES & {code for code, _ in found} else BrokerException
    return kind(f"Upstox: {what}: HTTP {status} {said(told)}".rstrip())


def _data(what: str, body: bytes) -> Any:
    try:
        told = json.loads(body)
    except ValueError:
        raise BrokerException(f"Upstox: {what}: the answer is not JSON") from None
    if not isinstance(told, dict) or told.get("status") != "success" or "data" not in told:
        status = told.get("status") if isinstance(told, dict) else type(told).__name__
        raise BrokerException(f"Upstox: {what}: the answer says {said(repr(status))}, not success")
    return told["data"]
