"""/code: the six digits that ``Context.prove`` asked for. The right ones run the command that asked for them."""

from __future__ import annotations

from pydantic import field_validator

from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context, Heard, again
from otrade_bot.control.reply import Reply
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.core.onetime import DIGITS, six_digits

__all__ = ["CODE", "Code"]


class Code(Arguments):
    """Never judged here: an error would repeat it."""

    digits: str = ""

    @field_validator("digits")
    @classmethod
    def _ascii(cls, given: str) -> str:
        return six_digits(given)


async def enter(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Code)
    if not arguments.digits:
        raise CommandException(t("A code has six digits: /code 123456"))
    if context.stepup is None:
        raise CommandException(t("No code is asked for here: nothing was done."))
    ended = await context.stepup.enter(context.session, context.user_id, context.user, arguments.digits)
    context.audit(Heard(context.user, context.role, context.session, DIGITS, "code", f"code {ended.outcome}"))
    return await again(context, ended.line) if ended.line else ended.said


#: Which command wants one decides who needs it.
CODE = Command("code", Role.VIEWER, "the six digits of your authenticator", enter, Code, "123456", quiet=True)
