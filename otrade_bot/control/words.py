"""Numbers, times and tables as people read them. Indian grouping, IST, tables that fit a phone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from otrade_bot.core.clock import SECOND, to_ist
from otrade_bot.core.lang import language, phrase, t
from otrade_bot.core.model import Block, ExitReason, Leg, OrderStatus
from otrade_bot.core.money import Paise, group_indian
from otrade_bot.core.session import Phase

__all__ = [
    "VOCABULARY", "WIDTH", "ago", "clock_text", "count", "counted", "day_text", "dropped_text", "many",
    "moment_text", "named", "percent",
    "phase_text", "price", "row", "rows_text", "short", "symbol_text", "whole_rupees", "width", "without_exchange",
]  # fmt: skip

#: Characters of a fixed-width line that a phone shows without wrapping.
WIDTH = 38


#: What the engine's own halt is called among the blocks, and a pause where it is said who wanted it.
LOSS_REACHED, PAUSED = "the day's loss limit was reached", "paused"


def phase_text(phase: str) -> str:
    """'cas_reference' -> 'closing auction, reference price'."""
    return t(Phase(phase).words) if phase in Phase.__members__.values() else phase.replace("_", " ")


def price(paise: Paise) -> str:
    """215505 -> '2,155.05'; the rupee sign is left to the heading."""
    whole, part = divmod(abs(paise), 100)
    return f"{'-' if paise < 0 else ''}{group_indian(whole)}.{part:02d}"


def whole_rupees(paise: Paise) -> str:
    """Signed, to the nearest rupee (half away from zero): 1505 -> '+15', -40 -> '0'."""
    whole = (abs(paise) + 50) // 100
    if whole == 0:
        return "0"
    return f"{'-' if paise < 0 else '+'}{group_indian(whole)}"


def count(number: int, one: str, many: str = "") -> str:
    """'1 order', '12,345 orders'."""
    return f"{group_indian(number)} {one if number == 1 else many or one + 's'}"


def many(number: int, one: str, more: str, **values: object) -> str:
    """``one`` for exactly one, else ``more``, with the number as ``{n}``: both come from ``t``, without values."""
    return (one if number == 1 else more).format_map({"n": group_indian(number), **values})


def counted(number: int, noun: str) -> str:
    """'1 order', '12,345 orders', as the reader's language counts. ``noun`` is one of those below."""
    match noun:
        case "order":
            return many(number, t("1 order"), t("{n} orders"))
        case "trade":
            return many(number, t("1 trade"), t("{n} trades"))
        case "signal":
            return many(number, t("1 signal"), t("{n} signals"))
        case "position":
            return many(number, t("1 position"), t("{n} positions"))
        case "symbol":
            return many(number, t("1 symbol"), t("{n} symbols"))
        case "price":
            return many(number, t("1 price"), t("{n} prices"))
    return count(number, noun)


def percent(value: float, *, sign: bool = False) -> str:
    """To two places; never '-0.00 %'."""
    rounded = round(value, 2) + 0.0
    return f"{rounded:+.2f} %" if sign and rounded else f"{rounded:.2f} %"


def clock_text(ns: int) -> str:
    """HH:MM:SS in IST."""
    return f"{to_ist(ns):%H:%M:%S}"


def day_text(ns: int) -> str:
    """'Tue 1 Jun 2021' in IST."""
    moment = to_ist(ns)
    if language() == "en":
        return f"{moment:%a} {moment.day} {moment:%b %Y}"
    return f"{t(_WEEKDAYS[moment.weekday()])} {moment.day} {t(_MONTHS[moment.month - 1])} {moment.year}"


_WEEKDAYS = (
    phrase("Mon"), phrase("Tue"), phrase("Wed"), phrase("Thu"), phrase("Fri"), phrase("Sat"), phrase("Sun"),
)  # fmt: skip
_MONTHS = (
    phrase("Jan"), phrase("Feb"), phrase("Mar"), phrase("Apr"), phrase("May"), phrase("Jun"), phrase("Jul"),
    phrase("Aug"), phrase("Sep"), phrase("Oct"), phrase("Nov"), phrase("Dec"),
)  # fmt: skip


def moment_text(ns: int) -> str:
    return f"{day_text(ns)} {clock_text(ns)} IST"


def ago(ns: int) -> str:
    """A span: '0.4 s', '3 min 20 s', '2 h 5 min'."""
    seconds = max(ns, 0) / SECOND
    if seconds < 60:
        return t("{seconds} s", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return t("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return t("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def symbol_text(symbol: str) -> str:
    """Without the exchange where it is NSE, which nearly everything is."""
    return symbol.removeprefix("NSE:")


_NSE = re.compile(r"\bNSE:(?=[A-Z0-9])")


def named(word: str) -> str:
    """A word that comes as data ('square_off'), as people say it: of the vocabulary in the reader's language."""
    spoken = word.replace("_", " ")
    return t(spoken) if spoken in VOCABULARY else word


#: Words that come as data and that every language knows.
VOCABULARY = frozenset(
    one.replace("_", " ")
    for one in (*Leg, *OrderStatus, *ExitReason, *(block.value for block in Block), LOSS_REACHED, PAUSED)
)


def without_exchange(said: str) -> str:
    """The same of every symbol in a text."""
    return _NSE.sub("", said)


def short(word: str, width: int) -> str:
    """Cut to ``width`` with an ellipsis; line breaks become spaces, so that a table keeps its rows."""
    flat = " ".join(word.split())
    return flat if len(flat) <= width else flat[: max(width - 1, 0)] + "…"


def width(said: str) -> int:
    """Columns of a fixed-width font: marks that join the character before them take none."""
    return sum(unicodedata.category(one)[0] != "M" and one not in "\u200c\u200d" for one in said)


def _padded(cell: str, side: str, columns: int) -> str:
    room = " " * (columns - width(cell))
    return cell + room if side == "<" else room + cell


def row(left: str, right: str, columns: int = WIDTH) -> str:
    """Left and right aligned on one line; ``left`` is cut where both do not fit."""
    room = max(columns - width(right) - 1, 1)
    flat = " ".join(left.split())
    return f"{_padded(flat if width(flat) <= room else short(flat, room), '<', room)} {right}"


def rows_text(table: Sequence[Sequence[str]], align: str, indent: str = "") -> str:
    """Lines with columns as wide as their widest cell. ``align`` has '<' or '>' for each column."""
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        (indent + " ".join(map(_padded, cells, align, widths))).rstrip() for cells in table
    )


def dropped_text(dropped: Mapping[str, int]) -> str:
    """'12 dropped (9 repeated, 3 spike)', the most frequent reason first."""
    some = sorted(
        ((number, why) for why, number in dropped.items() if number), key=lambda one: (-one[0], one[1])
    )
    if not some:
        return t("none dropped")
    reasons = ", ".join(f"{group_indian(number)} {why.replace('_', ' ')}" for number, why in some)
    return t("{n} dropped ({reasons})", n=group_indian(sum(number for number, _ in some)), reasons=reasons)
