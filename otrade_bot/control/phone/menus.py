"""The menu of commands that a phone offers: each person's own, in each chat; nothing to strangers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from telegram import Bot, BotCommandScopeChat, BotCommandScopeChatMember

from otrade_bot.control.phone.errors import judge
from otrade_bot.control.phone.gate import Caller

__all__ = ["Menu", "Menus"]

#: Names and their help, as this person may use them.
Menu = Callable[[Caller], Sequence[tuple[str, str]]]
#: Telegram takes no more.
MOST, LONGEST = 100, 256

_Scope = BotCommandScopeChat | BotCommandScopeChatMember


class Menus:
    """``show`` after a start, and whenever people, roles or languages change. ``due``: a network failed meanwhile."""

    def __init__(
        self, bot: Bot, people: Callable[[], Sequence[Caller]], menu: Menu, log: Callable[[str], None]
    ) -> None:
        self._bot, self._people, self._menu, self._log = bot, people, menu, log
        self._shown: dict[tuple[int, int], tuple[tuple[str, str], ...]] = {}
        self._cleared = False
        self._turn = asyncio.Lock()
        self.due = True

    async def show(self) -> None:
        """Only what has changed is sent."""
        async with self._turn:
            self.due = False
            wanted = {(one.chat_id, one.user_id): self._commands(one) for one in self._people()}
            if not self._cleared:
                self._cleared = await self._try(self._bot.delete_my_commands())
            for key in [key for key in self._shown if key not in wanted]:
                if await self._try(self._bot.delete_my_commands(scope=_scope(*key))):
                    del self._shown[key]
            for key, menu in wanted.items():
                if self._shown.get(key) != menu and await self._try(
                    self._bot.set_my_commands(menu, scope=_scope(*key))
                ):
                    self._shown[key] = menu

    def _commands(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        return tuple((name, said[:LONGEST]) for name, said in self._menu(caller))[:MOST]

    async def _try(self, asked: Awaitable[bool]) -> bool:
        try:
            await asked
        except Exception as problem:
            verdict = judge(problem)
            self.due = self.due or verdict.word in ("wait", "unsent", "lost")
            self._log(f"phone: a command menu was not taken: {verdict.error}")
            return False
        return True


def _scope(chat_id: int, user_id: int) -> _Scope:
    return BotCommandScopeChat(chat_id) if chat_id > 0 else BotCommandScopeChatMember(chat_id, user_id)
