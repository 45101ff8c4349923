"""Charges to the paisa, as a contract note lists them; rates of 2026, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_desk import DAY, Desk

from otrade_bot.config.models import ChargesConfig
from otrade_bot.kernel.charges import part
from otrade_bot.kernel.compile import Kernel

LAKH = 10_000_000  #: paise


def cost(kernel: Kernel, segment: Any, side: int, value: int, broker: str = "zerodha") -> int:
    desk = Desk(kernel)
    charges = ChargesConfig.model_validate({"broker": broker})
    desk.put(**charges.row_for(DAY)[0].kernel_rates(segment))
    return kernel.charge_one(desk.params, 0, side, value)


@pytest.mark.parametrize(
    ("segment", "side", "value", "paise"),
    [
        # 0.03 % of 1,00,000 is 30, capped at 20.00; exchange 0.0030699 % 3.07; SEBI 0.10; stamp 0.003 % 3.00;
        # GST 18 % of (20.00 + 3.07 + 0.10) = 4.17
        ("intraday", 1, LAKH, 2000 + 307 + 10 + 300 + 417),
        # as above without stamp; STT 0.025 % 25.00
        ("intraday", -1, LAKH, 2000 + 307 + 10 + 2500 + 417),
        # brokerage of 3,000 is 0.90; exchange 0.09; SEBI 0.00; stamp 0.09; GST 18 % of 0.99 = 0.18
        ("intraday", 1, 300_000, 90 + 9 + 0 + 9 + 18),
        # STT 0.75
        ("intraday", -1, 300_000, 90 + 9 + 0 + 75 + 18),
        # no brokerage; STT 0.1 % 100.00; exchange 3.07; SEBI 0.10; stamp 0.015 % 15.00; GST 18 % of 3.17 = 0.57
        ("delivery", 1, LAKH, 10_000 + 307 + 10 + 1500 + 57),
        # no stamp; the depository's 15.93
        ("delivery", -1, LAKH, 10_000 + 307 + 10 + 57 + 1593),
        # 20 flat; exchange 0.03553 % 35.53; SEBI 0.10; STT 0.15 % 150.00; GST 18 % of 55.63 = 10.01
        ("options", -1, LAKH, 2000 + 3553 + 10 + 15_000 + 1001),
    ],
)  # fmt: skip
def test_an_order_costs_what_its_contract_note_says(
    segment: str, side: int, value: int, paise: int, kernel: Kernel, twin: Kernel
) -> None:
    assert cost(kernel, segment, side, value) == cost(twin, segment, side, value) == paise


def test_nothing_traded_costs_nothing_not_even_the_depository(kernel: Kernel) -> None:
    for segment in ("delivery", "intraday", "futures", "options"):
        for side in (1, -1):
            assert cost(kernel, segment, side, 0) == 0


def test_each_component_is_rounded_half_up_by_itself() -> None:
    assert [part(value, 500_000_000) for value in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert part(1_000_000, 30_699) == 31
