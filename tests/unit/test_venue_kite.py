"""The Kite Connect that tests trade against: its answers look like the official ones, its rules are Kite's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect.exceptions import GeneralException, InputException, KiteException, OrderException, TokenException

from tests.unit.kite_room import sample
from tests.venues.kite import Kite
from tests.venues.kite_exchange import Row

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def kite() -> AsyncIterator[Kite]:
    made = Kite()
    made.open()
    made.price(100_000)
    yield made
    await made.close()


async def asked(kite: Kite, work: Callable[[Any], Any], token: str = Kite.TOKEN) -> Any:
    """``work`` with the official client, in a thread."""
    client = KiteConnect(Kite.API_KEY, token, root=kite.root)
    try:
        return await asyncio.to_thread(work, client)
    finally:
        client.reqsession.close()


async def raw(kite: Kite, verb: str, path: str, **more: Any) -> Any:
    """The body as it stands on the wire."""
    headers = {"X-Kite-Version": "3", "Authorization": f"token {Kite.API_KEY}:{kite.token}", **more.pop("headers", {})}
    answer = await asyncio.to_thread(requests.request, verb, kite.root + path, headers=headers, timeout=5, **more)
    return answer.json() if "json" in answer.headers["content-type"] else answer.text


def limit(client: Any, **fields: Any) -> str:
    values = {"variety": "regular", "exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "BUY",
              "quantity": 10, "product": "MIS", "order_type": "LIMIT", "price": "990", "tag": "t1"}  # fmt: skip
    found: str = client.place_order(**{**values, **fields})
    return found


def oco(client: Any, **fields: Any) -> Any:
    leg = {"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 900.0}
    values = {"trigger_type": "two-leg", "tradingsymbol": "RELIANCE", "exchange": "NSE",
              "trigger_values": [950.0, 1050.0], "last_price": 1000.0, "orders": [leg, leg]}  # fmt: skip
    return client.place_gtt(**{**values, **fields})


# --- shapes ---
def kinds(values: list[Any]) -> set[str]:
    names = {
        dict: "object",
        list: "list",
        str: "text",
        bool: "flag",
        int: "number",
        float: "number",
        type(None): "null",
    }
    return {names[type(value)] for value in values}


def differences(ours: list[Any], theirs: list[Any], where: str = "") -> list[str]:
    """What samples of ours have that theirs do not: keys always there, keys never there, kinds of values."""
    ours, theirs = [one for one in ours if one is not None], [one for one in theirs if one is not None]
    if not ours or not theirs:
        return []
    if kinds(ours) - kinds(theirs):
        return [f"{where}: {kinds(ours)}, official {kinds(theirs)}"]
    if isinstance(theirs[0], list):
        return differences([x for one in ours for x in one], [x for one in theirs for x in one], f"{where}[]")
    if not isinstance(theirs[0], dict) or ":" in next(iter(theirs[0]), "") or where.endswith("meta"):
        both = [list(one.values()) for one in (ours[0], theirs[0])] if isinstance(theirs[0], dict) else [[], []]
        return differences(*both, f"{where}.*")
    always, ever = set.intersection(*map(set, theirs)), set.union(*map(set, theirs))
    found = [f"{where}.{key} is missing" for one in ours for key in always - set(one)]
    found += [f"{where}.{key} is not official" for one in ours for key in set(one) - ever]
    for key in sorted(ever):
        found += differences([one.get(key) for one in ours], [one.get(key) for one in theirs], f"{where}.{key}")
    return sorted(set(found))


def test_a_difference_in_shape_is_seen() -> None:
    assert differences([{"a": 1}], [{"a": 1.5}]) == []
    assert differences([{"a": 1}], [{"a": "1"}]) == [".a: {'number'}, official {'text'}"]
    assert differences([{"a": 1, "c": 1}], [{"a": 1, "b": 1}]) == [".b is missing", ".c is not official"]
    assert differences([[{"a": None}]], [[{"a": 1}, {}]]) == []


LIVED = {
    "orders.json": "/orders", "trades.json": "/trades", "order_trades.json": "/orders/261120000000001/trades",
    "positions.json": "/portfolio/positions", "holdings.json": "/portfolio/holdings", "margins.json": "/user/margins",
    "margins_equity.json": "/user/margins/equity", "profile.json": "/user/profile",
    "quote.json": "/quote?i=NSE:RELIANCE",
    "ohlc.json": "/quote/ohlc?i=NSE:RELIANCE", "ltp.json": "/quote/ltp?i=NSE:RELIANCE",
    "gtt_get_orders.json": "/gtt/triggers",
    "historical_minute.json": "/instruments/historical/738561/minute?from=2026-11-20+09:15:00&to=2026-11-20+09:20:00",
    "historical_oi.json": "/instruments/historical/738561/minute?from=2026-11-20+09:15:00&to=2026-11-20+09:20:00&oi=1",
}  # fmt: skip


@pytest.mark.parametrize("name", LIVED)
async def test_answers_look_like_the_official_ones(kite: Kite, name: str) -> None:
    def live(client: Any) -> None:
        limit(client, order_type="MARKET", market_protection=-1, product="CNC")
        limit(client)
        client.cancel_order("regular", limit(client))
        oco(client)
        limit(client, quantity=9_999_999)
        oco(client, trigger_values=[900.0, 1100.0])

    kite.exchange.holdings["NSE:INFY"] = (7, 150_055)
    await asked(kite, live)
    kite.price(94_000)
    ours = await raw(kite, "GET", LIVED[name])
    assert ours["status"] == "success"
    assert ours["data"]
    assert differences([ours], [sample(name)]) == []


async def test_answers_to_writes_and_to_a_login_look_like_the_official_ones(kite: Kite) -> None:
    where = "/orders/regular"
    form = {"exchange": "NSE", "tradingsymbol": "RELIANCE", "transaction_type": "BUY", "quantity": 1, "product": "MIS",
            "order_type": "LIMIT", "price": "990"}  # fmt: skip
    placed = await raw(kite, "POST", where, data=form)
    where += f"/{placed['data']['order_id']}"
    assert differences([placed], [sample("order_response.json")]) == []
    assert differences([await raw(kite, "PUT", where, data={"price": 980})], [sample("order_modify.json")]) == []
    assert differences([await raw(kite, "DELETE", where)], [sample("order_cancel.json")]) == []
    number = (await asked(kite, oco))["trigger_id"]
    gone = await raw(kite, "DELETE", f"/gtt/triggers/{number}")
    assert differences([gone], [sample("gtt_delete_order.json")]) == []
    session = await asked(kite, lambda client: client.generate_session(kite.request_token, Kite.SECRET))
    official = {**sample("generate_session.json")["data"], "login_time": None}
    assert differences([session], [official]) == []
    left = await raw(kite, "DELETE", "/session/token?api_key=k&access_token=t")
    assert differences([left], [sample("session_logout.json")]) == []


async def test_updates_look_like_the_official_postback(kite: Kite) -> None:
    told: list[Row] = []
    kite.exchange.on_update = told.append
    await asked(kite, lambda client: limit(client, order_type="MARKET", market_protection=-1))
    assert [row["status"] for row in told] == ["COMPLETE"]
    assert differences(told, [sample("postback.json")]) == []


async def test_the_instruments_file_has_the_official_columns(kite: Kite) -> None:
    ours = await raw(kite, "GET", "/instruments/NSE")
    assert ours.splitlines()[0] == sample("instruments_nse.csv").splitlines()[0]
    assert {line.rpartition(",")[2] for line in ours.splitlines()[1:]} == {"NSE"}


# --- rules ---
async def test_requests_need_the_version_the_token_and_a_form(kite: Kite) -> None:
    with pytest.raises(TokenException, match="Incorrect `api_key` or `access_token`") as caught:
        await asked(kite, lambda client: client.orders(), "stale")
    assert caught.value.code == 403
    body = await raw(kite, "GET", "/orders", headers={"X-Kite-Version": "2"})
    assert (body["status"], body["error_type"]) == ("error", "InputException")
    body = await raw(kite, "POST", "/orders/regular", json={"exchange": "NSE"})
    assert "application/json" in body["message"]
    body = await raw(kite, "GET", "/nothing")
    assert body["error_type"] == "GeneralException"


async def test_a_request_token_is_good_once_and_only_with_the_right_checksum(kite: Kite) -> None:
    token = kite.request_token
    with pytest.raises(TokenException):
        await asked(kite, lambda client: client.generate_session(token, "wrong"))
    found = await asked(kite, lambda client: client.generate_session(token, Kite.SECRET))
    assert found["access_token"] == Kite.TOKEN
    with pytest.raises(TokenException):
        await asked(kite, lambda client: client.generate_session(token, Kite.SECRET))


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [({"order_type": "MARKET"}, InputException, "protection"),
     ({"order_type": "MARKET", "market_protection": 0}, InputException, "protection"),
     ({"order_type": "MARKET", "market_protection": 101}, InputException, "protection"),
     ({"order_type": "SL-M", "trigger_price": 1010}, InputException, "protection"),
     ({"order_type": "SL", "trigger_price": 990}, OrderException, "higher than"),
     ({"price": "990.01"}, InputException, "tick size"), ({"price": "990.001"}, InputException, "price"),
     ({"price": None}, InputException, "price"), ({"quantity": 0}, InputException, "quantity"),
     ({"quantity": "ten"}, InputException, "quantity"), ({"tag": "x" * 21}, InputException, "tag"),
     ({"tradingsymbol": "NOBODY"}, InputException, "does not exist"),
     ({"tradingsymbol": "NIFTY 50"}, InputException, "does not exist"), ({"product": "BO"}, InputException, "product"),
     ({"variety": "bo"}, InputException, "variety"), ({"exchange": None}, InputException, "exchange"),
     ({"transaction_type": "SELL", "product": "CNC"}, GeneralException, "holding")],
)  # fmt: skip
async def test_an_order_against_the_rules_is_refused(kite: Kite, fields: Row, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        await asked(kite, lambda client: limit(client, **fields))
    assert caught.value.code == 400
    assert kite.exchange.orders == {}


async def test_modifications_end_at_the_limit_and_protection_is_asked_for_again(kite: Kite) -> None:
    stop = {
        "order_type": "SL-M",
        "transaction_type": "SELL",
        "trigger_price": "950",
        "market_protection": -1,
        "price": None,
    }
    order_id = await asked(kite, lambda client: limit(client, **stop))
    with pytest.raises(InputException, match="protection"):
        await asked(kite, lambda client: client.modify_order("regular", order_id, trigger_price="960"))

    def wear_out(client: Any) -> None:
        for number in range(26):
            client.modify_order("regular", order_id, trigger_price=960 + number, market_protection=-1)

    with pytest.raises(OrderException, match="modifications exceeded"):
        await asked(kite, wear_out)
    assert kite.exchange.orders[order_id].trigger == 98_400


async def test_a_triggered_stop_cannot_be_made_to_wait_again(kite: Kite) -> None:
    stop = {"order_type": "SL", "transaction_type": "SELL", "trigger_price": "990", "price": "985"}
    order_id = await asked(kite, lambda client: limit(client, **stop))
    kite.price(98_000)
    assert kite.exchange.orders[order_id].status == "OPEN"
    with pytest.raises(OrderException, match="triggered"):
        await asked(kite, lambda client: client.modify_order("regular", order_id, order_type="SL", trigger_price="970"))
    await asked(kite, lambda client: client.modify_order("regular", order_id, price="980"))
    assert kite.exchange.orders[order_id].status == "COMPLETE"


@pytest.mark.parametrize(
    "fields",
    [{"trigger_values": [999.0, 1050.0]}, {"trigger_values": [1050.0, 950.0]}, {"tradingsymbol": "NOBODY"},
     {"orders": [{"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "MIS", "price": 9}] * 2},
     {"orders": [{"transaction_type": "SELL", "quantity": 0, "order_type": "LIMIT", "product": "CNC", "price": 9}] * 2},
     {"orders": [{"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 9}]}],
)  # fmt: skip
async def test_a_gtt_against_the_rules_is_refused(kite: Kite, fields: Row) -> None:
    with pytest.raises(InputException):
        await asked(kite, lambda client: oco(client, **fields))
    assert kite.gtts.all == {}


async def test_a_gtt_is_used_up_once_and_no_more_than_the_limit_are_active(kite: Kite) -> None:
    kite.gtts.limit = 1
    number = (await asked(kite, oco))["trigger_id"]
    with pytest.raises(InputException, match="Maximum"):
        await asked(kite, oco)
    kite.price(106_000)
    kite.price(90_000)
    gtt = kite.gtts.all[number]
    assert (gtt.status, [order["result"] is None for order in gtt.orders]) == ("triggered", [True, False])
    for write in (lambda client: client.delete_gtt(number), lambda client: client.delete_gtt(1)):
        with pytest.raises(KiteException):
            await asked(kite, write)


async def test_too_many_quotes_or_days_at_once_are_refused(kite: Kite) -> None:
    with pytest.raises(InputException, match="at most 500"):
        await asked(kite, lambda client: client.quote([f"NSE:X{n}" for n in range(501)]))
    with pytest.raises(InputException, match="60 days"):
        await asked(
            kite, lambda client: client.historical_data(1, "2026-01-01 09:15:00", "2026-03-03 09:15:00", "minute")
        )


def test_the_client_is_imported_where_kite_is_and_not_before_there_is_an_account() -> None:
    code = (
        "import sys, otrade_bot.brokers.kite; print(sorted({'kiteconnect', 'twisted', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    measured = {"bench_frames.py"}  # beside ours
    users = {path.parent.name for path in (ROOT / "otrade_bot").rglob("*.py") if path.name not in measured
             and ("import KiteConnect" in path.read_text() or "from kiteconnect" in path.read_text())}  # fmt: skip
    assert users == {"kite"}
