"""What the loopback Upstox says is what the models of Upstox's own client read, strict words included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import upstox_client as sdk

from otrade_bot.core.model import GttLeg, GttRequest, OrderType, Product, Side
from tests.unit.upstox_room import SHARE, upstox, wanted
from tests.venues.upstox import RELIANCE, Edit, UpstoxApi

Ask = Callable[[sdk.ApiClient], Any]
ASKED: dict[str, tuple[Ask, type]] = {
    "book": (lambda c: sdk.OrderApi(c).get_order_book("2.0"), sdk.OrderBookData),
    "details": (lambda c: sdk.OrderApi(c).get_order_status(order_id="261120000000001"), sdk.OrderBookData),
    "history": (lambda c: sdk.OrderApi(c).get_order_details("2.0", order_id="261120000000001"), sdk.OrderData),
    "trades": (lambda c: sdk.OrderApi(c).get_trade_history("2.0"), sdk.TradeData),
    "order_trades": (lambda c: sdk.OrderApi(c).get_trades_by_order("261120000000001", "2.0"), sdk.TradeData),
    "positions": (lambda c: sdk.PortfolioApi(c).get_positions("2.0"), sdk.PositionData),
    "holdings": (lambda c: sdk.PortfolioApi(c).get_holdings("2.0"), sdk.HoldingsData),
    "funds": (lambda c: sdk.UserApi(c).get_user_fund_margin("2.0"), sdk.UserFundMarginData),
    "profile": (lambda c: sdk.UserApi(c).get_profile("2.0"), sdk.ProfileData),
    "gtts": (lambda c: sdk.OrderApiV3(c).get_gtt_order_details(), sdk.GttOrderDetails),
    "ltp": (lambda c: sdk.MarketQuoteV3Api(c).get_ltp(instrument_key=RELIANCE), sdk.MarketQuoteSymbolLtpV3),
    "quotes": (
        lambda c: sdk.MarketQuoteV3Api(c).get_full_market_quote_v3(instrument_key=RELIANCE), sdk.MarketQuoteSymbolV3,
    ),
    "candles": (
        lambda c: sdk.HistoryV3Api(c).get_historical_candle_data1(RELIANCE, "minutes", 1, "2026-11-19", "2026-11-01"),
        sdk.HistoricalCandleData,
    ),
}  # fmt: skip


async def asked(api: UpstoxApi, ask: Ask) -> Any:
    """With the client as it comes: models and all."""
    configuration = sdk.Configuration()
    configuration.host = configuration.order_host = api.root
    configuration.access_token = api.token
    client = sdk.ApiClient(configuration)
    try:
        return (await asyncio.to_thread(ask, client)).data
    finally:
        client.pool.close()
        client.pool.join()
        client.rest_client.pool_manager.clear()


def one(data: Any) -> Any:
    while isinstance(data, (list, dict)) and data:
        data = next(iter(data.values() if isinstance(data, dict) else data))
    return data


@pytest.mark.parametrize("name", ASKED)
async def test_the_clients_own_models_read_every_answer_and_miss_no_field(name: str) -> None:
    ask, model = ASKED[name]
    async with upstox() as (api, broker):
        api.exchange.hold(RELIANCE, 10, 100_000)
        api.exchange.shares[RELIANCE].candles = [["2026-11-19T15:29:00+05:30", 1.0, 2.0, 0.5, 1.5, 100, 0]]
        await broker.place(wanted())
        await broker.place_gtt(GttRequest(SHARE, Side.SELL, 10, Product.CNC, (GttLeg(97_500, 97_000),), 100_000))
        raw: list[Any] = []
        api.fail(name, Edit(lambda body: raw.append(body["data"])))
        found = one(await asked(api, ask))
        assert isinstance(found, model)
        row = raw[0] if name in ("details", "profile", "candles") else one_row(raw[0])
        assert set(row) <= set(model.attribute_map.values())
        read = {field: getattr(found, attr) for attr, field in model.attribute_map.items() if field in row}
        assert {field: value for field, value in read.items() if not hasattr(one(value), "swagger_types")} == {
            field: row[field] for field in read if not hasattr(one(read[field]), "swagger_types")
        }


def one_row(data: Any) -> Any:
    return next(iter(data.values())) if isinstance(data, dict) else data[0]


async def test_one_strange_word_costs_the_client_as_it_comes_the_whole_book() -> None:
    """Why the books are read without its models; the day this fails they may be looked at again."""
    async with upstox() as (api, broker):
        await broker.place(wanted(OrderType.LIMIT, price=99_000))
        api.fail("book", Edit(lambda body: body["data"][0].update(order_type="ICEBERG")))
        with pytest.raises(ValueError, match="ICEBERG"):
            await asked(api, ASKED["book"][0])


async def test_a_path_that_upstox_has_not_is_a_violation() -> None:
    api = UpstoxApi()
    api.up()
    with pytest.raises(Exception, match="UDAPI10000"):
        await asked(api, lambda c: sdk.UserApi(c).get_kill_switch())
    assert "/v2/user/kill-switch" in (await api.close())[0]
