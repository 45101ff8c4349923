"""Who may do what."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Role"]


class Role(IntEnum):
    """Ordered: a higher role may do everything a lower one may."""

    VIEWER = 1  #: reads
    OPERATOR = 2  #: also pause, resume, close, flatten, stops
    ADMIN = 3  #: also settings, users, mode, login

    @property
    def word(self) -> str:
        """The name as it stands in telegram.json."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role:
        """The role of that name, in any case. Raises ValueError naming the roles there are."""
        for role in cls:
            if role.word == word.strip().lower():
                return role
        raise ValueError(f"no role {word!r}; allowed: {', '.join(role.word for role in cls)}")
