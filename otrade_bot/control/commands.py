"""The table of commands, and the one door through which a line of text reaches it.

Telegram and the terminal call ``answer`` and nothing else: parsing, the role check, the record of who said
what, and the handling of errors stand here once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from otrade_bot.control.auth import Role
from otrade_bot.control.completion import asked
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.news.wishes import People
from otrade_bot.control.pages import numbered, paged
from otrade_bot.control.people import PeopleDesk
from otrade_bot.control.pictures import PictureDesk
from otrade_bot.control.reply import Reply, bold, code, filled, italic, lines, text
from otrade_bot.control.settings_desk import SettingsDesk
from otrade_bot.control.stepup import StepUp
from otrade_bot.control.views import label
from otrade_bot.control.views_checks import Check
from otrade_bot.control.words import short
from otrade_bot.core.errors import CommandException
from otrade_bot.core.events import because, new_mark
from otrade_bot.core.lang import phrase, t
from otrade_bot.core.masking import mask_text
from otrade_bot.core.onetime import six_digits
from otrade_bot.core.ports import AuditDesk, LoginDesk, ModeDesk
from otrade_bot.core.redirects import concealed, holds_code
from otrade_bot.trading.snapshot import TradingView

__all__ = ["Arguments", "Command", "Context", "Heard", "Table", "again", "answer", "parse", "usage"]


class Arguments(BaseModel):
    """Base of argument models: fields are filled by position, in the order they are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class Heard:
    """One line a human said and what was decided about it, told before anything is done."""

    user: str
    role: Role | None  #: None: a stranger
    session: str
    line: str
    command: str  #: empty where there is none of that name
    outcome: str  #: allowed, denied, unknown, usage; from the phone also stranger, expired, refused
    mark: str = ""  #: what comes of it bears the same in the journal


def _no_config() -> str:
    raise CommandException(t("The configuration is not available here."))


def _no_log(newest: int) -> Sequence[str]:
    raise CommandException(t("The log is not available here."))


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, from where, and what there is to see.

    ``session`` names the place together with the person ("terminal", "telegram:7:7"): a confirmation
    holds for it alone. ``now_ns`` is market time. ``table`` is what /help shows.
    """

    view: TradingView
    user: str
    role: Role
    session: str
    table: Table
    confirmations: Confirmations
    now_ns: Callable[[], int] = time.time_ns
    version: str = ""
    config_text: Callable[[], str] = _no_config
    log_tail: Callable[[int], Sequence[str]] = _no_log
    checks: Callable[[], Sequence[Check]] = field(default=tuple)
    delivery: Callable[[], str] = str  #: how late messages are; empty where none waits
    log_error: Callable[[str, Exception], None] = lambda what, error: None
    audit: Callable[[Heard], None] = lambda heard: None
    mode: ModeDesk | None = None  #: None: the mode is not for changing here
    settings: SettingsDesk | None = None  #: None: nor are the settings
    login: LoginDesk | None = None  #: None: no broker here wants a login
    pictures: PictureDesk | None = None  #: None: nobody draws here
    audits: AuditDesk | None = None  #: None: no journal here

    user_id: int = 0  #: at Telegram; 0 at the terminal
    wishes: People | None = None  #: what each person wants to be told; None: there is no phone
    people: PeopleDesk | None = None  #: None: telegram.json is not for changing here
    stepup: StepUp | None = None  #: None: nobody can prove himself here but at the terminal

    def prove(self, line: str, what: str) -> Reply | None:
        """None where who asks is at the machine, or has proven himself by a one-time code for exactly this line within
        the last minute; else what to answer, and nothing may be done.

        ``line`` is the command without the answer to its question ("/mode live"): the right code runs it again, in this
        session. Ask it at every run, so before the question and again at its yes. ``what`` names it in a few translated
        words. Raises CommandException where nobody can be asked."""
        if self.session == "terminal":
            return None
        if self.stepup is None:
            said = t("This needs a one-time code, and codes cannot be taken here. Nothing was done.")
            raise CommandException(said)
        return self.stepup.demand(self.session, self.user_id, self.user, line, what)


Run = Callable[[Context, Arguments], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table. ``takes`` is how its arguments are written in /help. ``quiet``: they stand in no record.
    ``choices`` offers words for an argument that is missing. ``pages``: a long answer comes page by page ("first", or
    "last" where the newest stands at its end), since running it again does nothing; a viewer's command always does."""

    name: str
    role: Role
    help: str
    run: Run
    arguments: type[Arguments] = Arguments
    takes: str = ""
    quiet: bool = False
    choices: Callable[[Context], Sequence[str]] | None = None
    pages: Literal["", "first", "last"] = ""


class Table:
    """Commands by name, in the order of /help. Names are lower case; two of one name are a ValueError."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._by_name = {command.name: command for command in commands}
        if len(self._by_name) != len(commands):
            raise ValueError("two commands have the same name")

    def __iter__(self) -> Iterator[Command]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Command | None:
        return self._by_name.get(name)

    def acts(self, line: str) -> bool:
        """Whether it may change something: anything but what a viewer may do, or what comes in pages."""
        found = self.get(parse(line)[0])
        return found is None or (found.role > Role.VIEWER and not found.pages)

    def may(self, role: Role, line: str) -> bool:
        """Whether that role may say it; of no command anybody may say what it likes, and hears so."""
        found = self.get(parse(line)[0])
        return found is None or found.role <= role

    def allowed(self, role: Role) -> list[Command]:
        """What that role may do."""
        return [command for command in self if command.role <= role]

    def near(self, name: str) -> list[str]:
        """Names that may have been meant, the nearest first."""
        starts = [known for known in _MEANT.get(name, ()) if known in self._by_name]
        starts += [known for known in self._by_name if name and known.startswith(name)]
        return list(dict.fromkeys(starts + get_close_matches(name, list(self._by_name), 3, 0.6)))[:3]


#: What traders call it elsewhere.
_MEANT = {
    "exit": ("close",), "sell": ("close",), "half": ("close",), "squareoff": ("flatten",), "square": ("flatten",),
    "panic": ("flatten",), "stop": ("sl", "pause"), "stoploss": ("sl",), "tgt": ("target",), "tp": ("target",),
    "halt": ("pause",), "profit": ("pnl",), "p&l": ("pnl",), "holdings": ("positions",), "limits": ("risk",),
    "token": ("login",), "report": ("daily", "performance"), "snooze": ("mute",), "quiet": ("mute",),
}  # fmt: skip


def parse(line: str) -> tuple[str, list[str]]:
    """'/Flatten@some_bot  yes' -> ('flatten', ['yes']). An empty line gives an empty name."""
    pieces = line.split()
    if not pieces:
        return "", []
    first, rest = pieces[0], pieces[1:]
    if first == "/" and rest:
        first, rest = rest[0], rest[1:]
    return first.lstrip("/").partition("@")[0].casefold(), rest


def usage(command: Command) -> Reply:
    line = code(f"/{command.name} {command.takes}".rstrip())
    return filled(t("Usage: {line} · {help}"), line=line, help=t(command.help))


async def answer(context: Context, line: str) -> Reply:
    """What to say to a line. Never raises an Exception; a paper or simulated run says so on top."""
    said = await _guarded(context, line)
    top = _label(context)
    return lines(text(italic(top)), said) if top else said


def _label(context: Context) -> str:
    try:
        return label(context.view.status())
    except Exception:
        return "MODE UNKNOWN · the engine does not show its state"


async def _guarded(context: Context, line: str) -> Reply:
    """Whatever goes wrong becomes an answer: an error in a chat must never reach the trading loop."""
    try:
        return await _dispatch(context, line)
    except CommandException as error:
        return text(str(error))
    except Exception as error:
        with suppress(Exception):
            context.log_error(f"command {_kept(context, line)!r} of {context.user}", error)
        return lines(
            text(bold(t("Sorry, that went wrong")), f" ({type(error).__name__})."),
            t("Trading goes on without this answer. The log has details; look at the state before you repeat."),
        )


def _kept(context: Context, line: str) -> str:
    """What may stand in a record of a line: nothing of a login."""
    command = context.table.get(parse(line)[0])
    return f"/{command.name}" if command is not None and command.quiet else short(mask_text(concealed(line)), 80)


async def _dispatch(context: Context, line: str) -> Reply:
    name, pieces = parse(line)
    if holds_code(line):  # pasted, with or without the command before it
        name, pieces = "login", pieces if name == "login" else [line]
    elif digits := six_digits(line):
        name, pieces = "code", [digits]
    command = context.table.get(name)
    if command is None:
        _audit(context, line, "", "unknown")
        return _unknown(context, name)
    # The only role check there is: nothing below runs for a lower role.
    if context.role < command.role:
        _audit(context, line, command.name, "denied")
        return filled(
            t("{command} needs the role {role}; you are {yours}."),
            command=code(f"/{command.name}"), role=command.role.word, yours=context.role.word,
        )  # fmt: skip
    paging = context.session != "terminal" and bool(command.pages or command.role <= Role.VIEWER)
    pieces, page = numbered(pieces) if paging else (pieces, None)
    try:
        arguments = _arguments(command, pieces)
    except ValueError as error:
        _audit(context, line, command.name, "usage")
        return asked(context, command, pieces, error) or lines(text(_problem(error)), usage(command))
    mark = new_mark()
    _audit(context, line, command.name, "allowed", mark)
    with because(mark):
        said = await command.run(context, arguments)
    return paged(said, " ".join((f"/{name}", *pieces)), page, from_end=command.pages == "last") if paging else said


async def again(context: Context, line: str) -> Reply:
    """Run another line in the same place, judged and recorded like every one. Raises as commands do."""
    return await _dispatch(context, line)


def _audit(context: Context, line: str, name: str, outcome: str, mark: str = "") -> None:
    """A record that cannot be written is told, and stands in nobody's way: /flatten must work."""
    command = context.table.get(name)
    said = f"/{name}" if command is not None and command.quiet else mask_text(concealed(line))
    said = concealed(line) if holds_code(line) else said
    try:
        context.audit(Heard(context.user, context.role, context.session, said, name, outcome, mark))
    except Exception as error:
        with suppress(Exception):
            context.log_error("audit", error)


def _arguments(command: Command, pieces: list[str]) -> Arguments:
    """Fill the model by position; surplus words belong to a last field that is text. ValueError else."""
    fields = command.arguments.model_fields
    if len(pieces) > len(fields):
        if not fields or list(fields.values())[-1].annotation is not str:
            raise ValueError(t("too many arguments"))
        last = len(fields) - 1
        pieces = [*pieces[:last], " ".join(pieces[last:])]
    return command.arguments.model_validate(dict(zip(fields, pieces, strict=False)))


def _problem(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"{str(error).capitalize()}."
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return t("{what} is missing.", what=where)
    why = t(_WRONG[first["type"]], **first.get("ctx", {})) if first["type"] in _WRONG else first["msg"]
    got = repr(short(str(first["input"]), 40))
    return t("{what}: {why}, got {got}.", what=where, why=why, got=got)


#: By the type of pydantic's error what it says, as a template that takes its context.
_WRONG = {
    "greater_than_equal": phrase("Input should be greater than or equal to {ge}"),
    "less_than_equal": phrase("Input should be less than or equal to {le}"),
    "int_parsing": phrase("Input should be a valid integer, unable to parse string as an integer"),
    "literal_error": phrase("Input should be {expected}"),
}


def _unknown(context: Context, name: str) -> Reply:
    if not name:
        return filled(t("Say a command; {help} lists them."), help=code("/help"))
    if name in ("yes", "no"):
        said = t("A bare {word} answers nothing: press the button under the question, or say its whole command.")
        return filled(said, word=code(name))
    near = context.table.near(name)
    meant = (
        filled(t("Did you mean {names}?"), names=text(*_listed(near)))
        if near
        else filled(t("{help} lists what there is."), help=code("/help"))
    )
    return lines(filled(t("There is no command {name}."), name=code(f"/{short(name, 40)}")), meant)


def _listed(names: Sequence[str]) -> list[Reply | str]:
    out: list[Reply | str] = []
    for name in names:
        out += [t(" or "), code(f"/{name}")] if out else [code(f"/{name}")]
    return out
