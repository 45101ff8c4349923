"""What one person wants to be told, and how: over what telegram.json says for everybody.

Risk is nobody's choice: it always comes, with sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from otrade_bot.config.models import Loudness, Notifications
from otrade_bot.core.clock import to_ist
from otrade_bot.core.lang import Language

__all__ = ["KINDS", "NONE", "People", "Wishes", "kind_of"]

#: What may be muted, as in telegram.json.
KINDS = tuple(name for name in Notifications.model_fields if name != "extra")
#: Kinds of events without a wish of their own.
_LIKE = {"carry": "session", "level": "stop", "close": "trade", "approval": "signal"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """Of one person. None, or a kind that is missing: as telegram.json says.

    ``quiet``: from and to, minutes of the day in IST, over midnight where it begins later than it ends. ``snooze_ns``:
    wall time until which it is quiet. Quiet means without sound, not untold."""

    language: Language | None = None
    kinds: Mapping[str, Loudness] = field(default_factory=dict)
    quiet: tuple[int, int] | None = None
    snooze_ns: int = 0
    keyboard: tuple[str, ...] | None = None  #: commands on the keys of the phone; None: never chosen

    def resting(self, wall_ns: int) -> bool:
        """Within the quiet hours, or a snooze that has not ended."""
        if wall_ns < self.snooze_ns:
            return True
        if self.quiet is None:
            return False
        begin, end = self.quiet
        moment = to_ist(wall_ns)
        now = moment.hour * 60 + moment.minute
        return begin <= now < end if begin <= end else now >= begin or now < end

    def loudness(self, kind: str, settings: Notifications, wall_ns: int) -> Loudness:
        """Of what may be muted. A kind that nobody can choose comes with sound."""
        name = kind_of(kind)
        given: Loudness = getattr(settings, name, "on")
        wish = self.kinds.get(name, given)
        return "silent" if wish == "on" and self.resting(wall_ns) else wish


#: Of who never said anything.
NONE = Wishes()


def kind_of(kind: str) -> str:
    """The kind by whose wish this one goes."""
    return _LIKE.get(kind, kind)


class People(Protocol):
    """Who keeps the wishes, by Telegram user id."""

    def wishes(self, person: int) -> Wishes: ...

    def language(self, person: int) -> Language:
        """What this person is told in."""
        ...

    def settings(self) -> Notifications:
        """What holds for who chose nothing."""
        ...

    def wish(self, person: int, **changes: Any) -> str:
        """Set fields of Wishes, on the disk before it returns. Why they may not survive a restart, '' if they do."""
        ...
