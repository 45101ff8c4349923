"""The day's summary: how its signals were carried out, and what each strategy made of them."""

from __future__ import annotations

from collections.abc import Iterator

from otrade_bot.control.news.pieces import Data, mapping, number, objects, paise, real, word
from otrade_bot.control.reply import Part, bold, text
from otrade_bot.control.words import short
from otrade_bot.core.lang import t
from otrade_bot.core.money import rupees_text

__all__ = ["execution_lines", "strategy_lines"]

_REASONS, _STRATEGIES, _WIDTH = 4, 12, 90


def strategy_lines(data: Data) -> Iterator[Part]:
    """A line each, where there is more than one to compare."""
    found = [one for one in objects(data, "by_strategy") if word(one, "strategy")]
    if len(found) < 2:
        return
    for one in found[:_STRATEGIES]:
        net, trades, won = paise(one, "net_paise", sign=True), number(one, "trades"), number(one, "wins")
        said = t("{trades} trades, {won} won", trades=trades, won=won) if trades else t("no trades")
        yield text(bold(word(one, "strategy")), f" {net}, {said}" if trades and net else f" {said}")


def execution_lines(data: Data) -> Iterator[Part]:
    """Slippage, latency, and why something was not done."""
    yield from _slippage(data)
    yield from _latency(mapping(data, "latency"))
    counts = mapping(data, "refusals")
    reasons = [(number(counts, code) or 0, str(why)) for code, why in mapping(data, "refusal_reasons").items() if why]
    for times, why in sorted(reasons, key=lambda one: -one[0])[:_REASONS]:
        yield t("• refused {n}×: {why}", n=times, why=short(why, _WIDTH))
    rejected = [(times, str(why)) for why, times in mapping(data, "rejected").items() if isinstance(times, int)]
    for times, why in sorted(rejected, key=lambda one: -one[0])[:_REASONS]:
        yield t("• rejected by the broker {n}×: {why}", n=times, why=short(why, _WIDTH))


def _slippage(data: Data) -> Iterator[Part]:
    """Plus is worse than the signal's price."""
    total, shares = number(data, "slippage_paise"), number(data, "slippage_shares")
    if total is None or not shares or shares < 0:
        return
    each, amount = f"{abs(total) / shares:.1f}", rupees_text(abs(total))
    if total > 0:
        yield t("Slippage: {amount} lost, {paise} paise a share worse than the signal", amount=amount, paise=each)
    elif total < 0:
        yield t("Slippage: {amount} gained, {paise} paise a share better than the signal", amount=amount, paise=each)
    else:
        yield t("Slippage: none, every entry at its signal's price")


def _latency(data: Data) -> Iterator[Part]:
    """Nothing of an account that answers at once."""
    sent, taken = mapping(data, "signal_to_sent_ms"), mapping(data, "sent_to_accepted_ms")
    values = [real(sent, "median"), real(taken, "median"), real(sent, "worst"), real(taken, "worst")]
    if None in values or not any(values):
        return
    first, second, worst_first, worst_second = (f"{value:,.1f}" for value in values if value is not None)
    yield t(
        "Orders left {sent} ms after the signal and were taken {taken} ms later (worst {worst_sent} and {worst_taken})",
        sent=first, taken=second, worst_sent=worst_first, worst_taken=worst_second,
    )  # fmt: skip
