"""A question before what costs money or cannot be taken back: asked, answered, judged; the same way everywhere."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator

from otrade_bot.control.commands import Arguments, Context
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.reply import Action, Part, Reply, bold, code, filled, lines, text
from otrade_bot.control.views_checks import within
from otrade_bot.core.lang import t

__all__ = ["Question", "Word", "YesNo", "settle"]

Word = Literal["yes", "no", ""]


class YesNo(Arguments):
    """Base of argument models that end in an answer: the word's case does not matter, phones begin with a capital."""

    @field_validator("word", mode="before", check_fields=False)
    @classmethod
    def _any_case(cls, word: object) -> object:
        return word.lower() if isinstance(word, str) else word


@dataclass(frozen=True, slots=True)
class Question:
    """``line`` is the command without its answer ("/close NSE:SBIN"), which names the question too; ``shown`` is what a
    yes agrees to; ``button`` the label of the yes. ``covers`` says whether what was shown covers what there is now;
    by default it must be the same."""

    line: str
    shown: Hashable
    head: str
    body: Part
    button: str
    covers: Callable[[Hashable], bool] | None = None


def settle(context: Context, asked: Question, word: str, nonce: str) -> Reply | None:
    """None where it was confirmed: do it now, without waiting for anything before. Else what to answer.

    Where what was shown has changed, or nothing was asked, the question is put (again)."""
    confirmations = context.confirmations
    if word == "no":
        dropped = confirmations.drop(context.session, asked.line)
        return text(t("Nothing was done.") if dropped else t("Nothing was asked, nothing was done."))
    if not word:
        return _put(context, asked)
    covers = asked.covers or (lambda shown: shown == asked.shown)
    verdict = confirmations.answer(context.session, asked.line, covers, nonce)
    if verdict is Verdict.CONFIRMED:
        return None
    if verdict is Verdict.CHANGED:
        return _put(context, asked, changed=True)
    if verdict is Verdict.UNSEEN:
        said = t("that yes came before the question had reached you. Answer it now.")
        return text(bold(t("Nothing was done:")), f" {said}")
    if verdict is Verdict.EXPIRED:
        return bold(t("Too late: a yes counts for {seconds} s. Nothing was done.", seconds=_seconds(context)))
    return filled(
        t("{nothing} no question of yours is open. {command} asks."),
        nothing=bold(t("Nothing was done:")), command=code(asked.line),
    )  # fmt: skip


def _put(context: Context, asked: Question, *, changed: bool = False) -> Reply:
    nonce = context.confirmations.ask(context.session, asked.line, asked.shown)
    question = lines(
        bold(t("It has changed. Look again.")) if changed else "",
        bold(asked.head),
        asked.body,
        within(_seconds(context), asked.line),
    )
    yes, no = Action(asked.button, f"{asked.line} yes {nonce}"), Action(t("Leave it"), f"{asked.line} no {nonce}")
    return Reply(question.runs, (yes, no))


def _seconds(context: Context) -> str:
    return f"{context.confirmations.seconds:.0f}"
