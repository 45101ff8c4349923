"""What must not stay in a chat: a pasted login address, a one-time code. It goes, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from telegram import Bot, Message

from otrade_bot.control.phone.errors import judge
from otrade_bot.control.reply import Reply, bold, text
from otrade_bot.core.lang import t
from otrade_bot.core.redirects import holds_code

__all__ = ["erase"]

#: Pauses between the attempts, s.
PAUSES = (0.5, 2.0, 5.0)


async def erase(
    bot: Bot, message: Message, sleep: Callable[[float], Awaitable[None]], log: Callable[[str], None]
) -> Reply | None:
    """None where it is gone; what its writer is to be told where Telegram does not let us."""
    for pause in (*PAUSES, None):
        try:
            await bot.delete_message(message.chat_id, message.message_id)
            return None
        except Exception as problem:
            verdict = judge(problem)
        if "not found" in verdict.error.lower():
            return None
        if pause is None or verdict.word not in ("wait", "unsent", "lost"):
            break
        await sleep(max(pause, min(verdict.seconds, 30.0)))
    address = holds_code(message.text or message.caption or "")
    what = "login address" if address else "code"
    log(f"phone: a {what} in chat {message.chat_id} could not be removed: {verdict.error}")
    said = t("the login address in it could not be removed.") if address else t("the code in it could not be removed.")
    return text(bold(t("Delete your message yourself:")), " ", said)
