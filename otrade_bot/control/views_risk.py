"""/risk: each limit beside what the day has used of it."""

from __future__ import annotations

from collections.abc import Sequence

from otrade_bot.config.models import Config
from otrade_bot.control.reply import Part, Reply, bold, code, filled, lines, text
from otrade_bot.core.lang import t
from otrade_bot.core.money import Paise, group_indian, rupees_text, to_paise
from otrade_bot.trading.snapshot import Position, StatusView

__all__ = ["risk"]


def risk(state: StatusView, held: Sequence[Position], config: Config) -> Reply:
    """The day's limits, then those of a single order, then the pauses."""
    return lines(
        bold(t("Risk")),
        bold(t("The day's loss limit has been reached: no entries today.")) if state.halted else "",
        _loss(state, config),
        _used(t("Capital bound"), state.capital_used, state.total_capital),
        text(t("Rungs open: {n} of {most}", n=state.open_rungs, most=group_indian(state.max_rungs))),
        _entries(state, config),
        _stops(state, held),
        *_each(config),
        filled(t("{put} changes one, with a code where more could be lost."), put=code("/set KEY VALUE")),
    )


def _loss(state: StatusView, config: Config) -> Part:
    net = rupees_text(state.net, sign=True)
    if not state.loss_limit:
        return text(t("Today {net} after charges; NO loss limit.", net=net))
    limit, share = rupees_text(state.loss_limit), max(0, -state.net) * 100 // state.loss_limit
    then = t("then everything is closed") if config.risk.daily_loss_flatten else t("then entries stop")
    return text(
        t("Today {net} after charges, loss limit {limit}: {share} % used, {then}.",
          net=net, limit=limit, share=share, then=then)
    )  # fmt: skip


def _used(what: str, used: Paise, most: Paise) -> str:
    share = used * 100 // most if most else 0
    return t(
        "{what}: {used} of {most} ({share} %)", what=what, used=rupees_text(used), most=rupees_text(most), share=share
    )


def _entries(state: StatusView, config: Config) -> str:
    most = config.risk.max_trades_per_day
    if not most:
        return t("Entries today: {n}, no limit", n=state.entries)
    return t("Entries today: {n} of {most}", n=state.entries, most=group_indian(most))


def _stops(state: StatusView, held: Sequence[Position]) -> Part:
    """From the last prices to the stops, without slippage and charges."""
    if state.unread:
        return bold(t("What is held is not known."))
    ours = [one for one in held if not one.external]
    if not ours:
        return t("Nothing is held.")
    stopped = [one for one in ours if one.stop]
    more = sum(int(one.side) * one.quantity * (one.stop - one.ltp) for one in stopped)
    said: Part = t("If every stop were hit now: {more} from here.", more=rupees_text(more, sign=True))
    bare = sum(1 for one in ours if one.unprotected or not one.stop)
    return lines(said, bold(t("Without a stop at the broker: {n}, see /positions", n=bare)) if bare else "")


def _each(config: Config) -> list[Part]:
    one = config.risk
    quantity = group_indian(one.max_order_quantity) if one.max_order_quantity else t("any number of")
    value = rupees_text(to_paise(one.max_order_value)) if one.max_order_value else t("any value")
    band = f"{one.price_band_percent:g} %" if one.price_band_percent else t("off")
    storm = t(
        "{n} refused entries within {s} s stop all", n=one.reject_storm, s=one.reject_storm_seconds
    ) if one.reject_storm else t("refused entries stop nothing")  # fmt: skip
    spike = t(
        "jumps beyond {p} % wait for {n} prices", p=f"{one.spike_percent:g}", n=one.spike_confirmations
    ) if one.spike_percent else t("jumps are believed at once")  # fmt: skip
    return [
        t("A rung: ₹{capital}; an order: up to {quantity} shares, {value}; price band {band}",
          capital=group_indian(config.trading.capital_per_position), quantity=quantity, value=value, band=band),
        t("Pauses: {a} s after an exit, {b} s after a refusal; {storm}",
          a=one.cooldown_seconds, b=one.reject_cooldown_seconds, storm=storm),
        t("Prices: at most {s} s old; {spike}", s=one.stale_price_seconds, spike=spike),
    ]  # fmt: skip
