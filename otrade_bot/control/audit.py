"""/audit: is the day's journal as it was written, and what came of the newest commands and signals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import Field, field_validator

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.reply import Reply, bold, code, filled, lines, pre, text
from otrade_bot.control.words import without_exchange
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.research.audit import told

__all__ = ["AUDIT"]

_BREAKS = 10


class Audit(Arguments):
    """How many of the newest, and of which day."""

    n: int = Field(10, ge=1, le=200)
    day: date | None = None

    @field_validator("day", mode="before")
    @classmethod
    def _spelt(cls, day: object) -> object:
        """A run of digits is no day."""
        if isinstance(day, str) and (len(day) != 10 or day[4:8:3] != "--"):
            raise ValueError(t("a day is spelt 2026-09-16"))
        return day


async def _audit(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Audit)
    if context.audits is None:
        raise CommandException(t("The journal is not available here."))
    found = await context.audits.audit(arguments.day, arguments.n)
    shown = "\n".join("\n".join(told(one)) for one in reversed(found["happenings"]))
    return lines(
        text(bold(t("Audit")), f" {found['day']}"),
        *_verdict(found["chain"]),
        pre(without_exchange(shown)) if shown else t("No command and no signal yet."),
    )


def _verdict(chain: Mapping[str, Any]) -> list[Reply | str]:
    """The newest hash can be compared with what was told here before: who rewrites the file cannot rewrite a chat."""
    head = filled(
        t("{n} lines, the last hash is {hash}"), n=str(chain["lines"]), hash=code(chain["head"] or "-")
    )
    loose = t("{n} lines of an older version bear no hash.", n=chain["loose"]) if chain["loose"] else ""
    breaks = chain["breaks"]
    if not breaks:
        return [bold(t("The journal is as it was written.")), head, loose]
    said = [
        t("line {line} ({what}): {why}", line=one["line"], what=f"{one['time']} {one['kind']}", why=one["what"])
        for one in breaks[:_BREAKS]
    ]
    more = t("and {n} more", n=len(breaks) - _BREAKS) if len(breaks) > _BREAKS else ""
    return [bold(t("THE JOURNAL WAS CHANGED, in {n} places", n=len(breaks))), *said, more, head, loose]


AUDIT = (
    Command(
        "audit", Role.ADMIN, "what came of each command, is the journal whole", _audit, Audit, "[n] [day]",
        pages="first",
    ),
)  # fmt: skip
