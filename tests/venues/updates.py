"""The queue behind getUpdates: long polling, offsets that confirm, one reader at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from .faults import CONFLICT

FIRST_ID = 812_000_001
LONGEST_POLL = 50  # s
AHEAD = 10  # an offset further beyond the end than this is taken for nonsense, and confirms nothing
ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})

Update = dict[str, Any]


class Terminated(Exception):  # noqa: N818
    """Something else took the place of this getUpdates while it waited: 409."""


class Updates:
    """What the bot has not confirmed yet, oldest first. It outlives every client."""

    def __init__(self) -> None:
        self.pending: list[Update] = []
        self.allowed: frozenset[str] = frozenset()  #: empty: everything but what must be asked for
        self._next = FIRST_ID
        self._poll: asyncio.Future[None] | None = None

    @property
    def polling(self) -> bool:
        """Somebody waits in a long poll."""
        return self._poll is not None

    def add(self, kind: str, payload: dict[str, Any]) -> int:
        """Its update_id; 0 for a kind that the bot did not ask for, which Telegram drops."""
        if kind not in self.allowed if self.allowed else kind in ON_REQUEST:
            return 0
        update_id, self._next = self._next, self._next + 1
        self.pending.append({"update_id": update_id, kind: payload})
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)
        return update_id

    def forget(self) -> None:
        """Drop everything that waits."""
        self.pending.clear()

    def terminate(self, why: str) -> None:
        """End the long poll that waits, if any."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_exception(Terminated(why))

    async def get(self, offset: int, limit: int, wait: int) -> list[Update]:
        """Confirms what is below ``offset`` and hands out what follows; waits up to ``wait`` s for a first one.

        Raises Terminated when another call comes meanwhile."""
        self.terminate(CONFLICT)
        limit, wait = min(max(limit, 1), 100), min(max(wait, 0), LONGEST_POLL)
        self._confirm(offset)
        if not self.pending and wait:
            await self._wait(wait)
        return self.pending[:limit]

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            offset += self._next
        if offset <= self._next + AHEAD:
            self.pending = [update for update in self.pending if update["update_id"] >= offset]

    async def _wait(self, seconds: int) -> None:
        poll: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._poll = poll
        try:
            await asyncio.wait_for(poll, seconds)
        except TimeoutError:
            pass
        finally:
            if self._poll is poll:
                self._poll = None
