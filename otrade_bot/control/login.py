"""/login: the day's token of a broker. An address to log in at, then the address to which the broker sends back.

An address with a state in it is shown to the one who asked, as a button, in his private chat: whoever else saw it could
log in with an account of his own.
"""

from __future__ import annotations

from otrade_bot.control.commands import Arguments, Context
from otrade_bot.control.confirm import Verdict
from otrade_bot.control.reply import Action, Reply, bold, code, filled, lines, text
from otrade_bot.core.errors import CommandException
from otrade_bot.core.lang import t
from otrade_bot.core.ports import LoginDesk, LoginEnd, LoginPage
from otrade_bot.core.redirects import holds_code

__all__ = ["Login", "log_in"]

_ACTION = "login"


class Login(Arguments):
    """A broker, an answer to a question, or the redirected address. Never judged here: an error would repeat it."""

    words: str = ""


async def log_in(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Login)
    desk = context.login
    if desk is None:
        raise CommandException(t("Nothing here wants a login: no broker takes orders or gives prices."))
    if holds_code(arguments.words):
        return _ended(context, await desk.finish(arguments.words, context.session))
    match arguments.words.casefold().split():
        case ["yes", *nonce]:
            return await _accepted(context, desk, "".join(nonce))
        case ["no", *_]:
            return _dropped(context, desk)
        case [broker, "approve"]:
            return text(await desk.approve(context.session, broker))
        case [] if account := desk.waiting(context.session):
            return _ask(context, account)
        case [] | [_] as named:
            return _page(context, await desk.begin(context.session, "".join(named)))
    said = t("Say /login, /login kite or /login upstox; then paste the whole address you were sent to.")
    raise CommandException(said)


def _page(context: Context, page: LoginPage) -> Reply:
    """A person at a terminal has no buttons."""
    here = context.session.startswith("telegram:")
    then = (
        t("The rest happens by itself: this chat hears of it. Does the browser show an error instead, paste the "
          "address it shows here.")
        if page.comes_back
        else t("The browser then shows a page, often an error: paste the whole address of that page here.")
    )  # fmt: skip
    head = t("Log in to {broker}", broker=page.broker.capitalize())
    minutes = f"{page.seconds / 60:.0f}"
    counts = (
        t("It counts once, for {minutes} min, for you alone. No button? Send /login again.", minutes=minutes)
        if here
        else t("It counts once, for {minutes} min.", minutes=minutes)
    )
    said = lines(
        bold(head),
        t("Press the button and log in.") if here else page.url,
        then,
        t("Your message is removed at once.") if here else "",
        counts,
    )
    return Reply(said.runs, (Action(head, "/login", page.url),) if here else ())


def _ended(context: Context, end: LoginEnd) -> Reply:
    return lines(end.said, _ask(context, end.account)) if end.account else text(end.said)


def _ask(context: Context, account: str) -> Reply:
    nonce = context.confirmations.ask(context.session, _ACTION, account)
    question = lines(
        bold(t("Trade with the account {account} from now on?", account=account)),
        t("Positions, orders and stops of the account before are watched by nobody then."),
        filled(t("{yes} within {seconds} s, or {no}."), yes=code("/login yes"), no=code("/login no"),
               seconds=f"{context.confirmations.seconds:.0f}"),
    )  # fmt: skip
    yes = Action(t("Use {account}", account=account), f"/login yes {nonce}")
    no = Action(t("Leave it"), f"/login no {nonce}")
    return Reply(question.runs, (yes, no))


async def _accepted(context: Context, desk: LoginDesk, nonce: str) -> Reply:
    waiting = desk.waiting(context.session)
    verdict = context.confirmations.answer(
        context.session, _ACTION, lambda shown: bool(waiting) and shown == waiting, nonce
    )
    if verdict is Verdict.CONFIRMED:
        return text(await desk.accept(context.session))
    if verdict is Verdict.UNSEEN:
        said = t("that yes came before the question had reached you. Answer it now.")
        return text(bold(t("Nothing was changed:")), f" {said}")
    if verdict is Verdict.EXPIRED and waiting:
        return lines(bold(t("Too late. Nothing was changed.")), _ask(context, waiting))
    return text(bold(t("Nothing was changed:")), " ", t("no question of yours is open."))


def _dropped(context: Context, desk: LoginDesk) -> Reply:
    context.confirmations.drop(context.session, _ACTION)
    dropped = desk.drop(context.session)
    return text(t("Nothing was changed; that token was forgotten.") if dropped else t("Nothing was asked."))
