"""Who talks for the service: the phone where there is a bot token, else the terminal; both from one table."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TextIO

from otrade_bot import __version__
from otrade_bot.config import config_dir
from otrade_bot.config.manager import as_documents
from otrade_bot.config.models import Config, User
from otrade_bot.config.secrets import Secrets
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Context, Heard, answer, parse
from otrade_bot.control.confirm import Confirmations
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.news.outbox import Outbox
from otrade_bot.control.news.pushes import Pushes
from otrade_bot.control.phone.gate import Caller, Gate, Knock, headed
from otrade_bot.control.phone.pace import Pace
from otrade_bot.control.phone.state import PhoneState
from otrade_bot.control.reply import Reply, Told, bold, italic, lines, worded
from otrade_bot.control.screen.terminal import PlainPrinter, PlainTerminal, TerminalUI, terminal
from otrade_bot.control.views import banner
from otrade_bot.control.views_card import card, ended
from otrade_bot.core.events import Event, Observer
from otrade_bot.core.imports import telegram_library
from otrade_bot.core.lang import Language, phrase, speaking, t
from otrade_bot.service.authenticators import authenticators_for
from otrade_bot.service.current import CurrentView
from otrade_bot.service.daycard import DayCards
from otrade_bot.service.extras import Extras, extras_for
from otrade_bot.service.garbage import settled
from otrade_bot.service.health import Line, Queue
from otrade_bot.service.logs import get_logger, tail
from otrade_bot.service.mode import ModeSwitch
from otrade_bot.service.observe import command_event
from otrade_bot.service.people import People, active
from otrade_bot.service.preferences import Preferences

if TYPE_CHECKING:
    from otrade_bot.control.phone.card import Cards
    from otrade_bot.control.phone.phone import Phone
    from otrade_bot.service.app import Service

__all__ = ["Mouths", "Phones", "Terminals", "introduction", "mouths_for"]

Task = tuple[str, Callable[[], Awaitable[None]]]
#: A command waits so long for a desk that is being opened again: what it told the old one nobody would remember.
OPENS = 15.0
#: s after the day was opened that the phone is.
FIRST = 0.05
AGAIN = phrase("Stops stay at the broker. Send it once more in a moment.")


class Mouths(Protocol):
    """What the service needs of whoever talks for it."""

    def tasks(self) -> list[Task]:
        """To be kept running; each may fail."""
        ...

    def observers(self) -> list[Observer]:
        """Given to every day's engine."""
        ...

    def catch_up(self, diary: Iterable[Event]) -> None:
        """Before a day's first word: what the diary has and nobody was told, as a kill came between. Newest first."""
        ...

    def tell(self, reply: Told) -> None:
        """To those in charge, outside of any event, in their languages."""
        ...

    def queue(self) -> Queue | None:
        """What waits to be sent; None where nothing is sent."""
        ...

    def line(self) -> Line | None:
        """How it stands with the messenger; None where there is none."""
        ...

    async def farewell(self, seconds: float) -> None:
        """Deliver what is waiting, at most so long."""
        ...

    def close(self) -> None: ...


class Answers:
    """The command table with today's engine behind it."""

    def __init__(self, service: Service, *, travels: bool, people: People | None = None) -> None:
        self._service, self._people = service, people
        self._pace = Pace(lambda: service.config.telegram.commands_per_minute)
        self.still: Callable[[Caller], Caller | None] = lambda caller: caller  #: who he is by now
        self._confirmations = Confirmations(travels=travels)
        self.preferences = Preferences(service.control, lambda: service.config.telegram)
        self.changed: Callable[[], None] = lambda: None  #: somebody speaks another language now

    async def by_phone(self, caller: Caller, line: str) -> Reply:
        """In the caller's language."""
        spoken = self.preferences.language(caller.user_id)
        with self.preferences.speaking(caller.user_id):
            said = await self._by_phone(caller, line)
        if self.preferences.language(caller.user_id) != spoken:
            self.changed()
        return said

    async def _by_phone(self, caller: Caller, line: str) -> Reply:
        opened = await self._service.ready(OPENS)
        if self._service.reason:  # what is done now could not be told truly any more
            return lines(italic(self.label()), bold(t("The service is stopping: nothing was done.")), t("Stops stay."))
        now = self.still(caller)
        if now is None:  # blocked or removed while his command waited
            return Reply()
        if not self._pace.passes(now.user_id, parse(line)[0] if COMMANDS.may(now.role, line) else ""):
            return self._slower() if self._pace.untold(now.user_id) else Reply()
        return await answer(self._of(now), line) if opened else self._unopened

    async def at_terminal(self, line: str) -> Reply:
        opened = await self._service.ready(OPENS)
        return await answer(self._context("terminal", Role.ADMIN, "terminal"), line) if opened else self._unopened

    def _slower(self) -> Reply:
        most = self._service.config.telegram.commands_per_minute
        said = t("More than {most} commands in a minute: not done, and more of them go unanswered.", most=most)
        return lines(italic(self.label()), bold(said), "/pause, /resume, /flatten")

    @property
    def _unopened(self) -> Reply:
        return lines(italic(self.label()), bold(t("The day is being opened again: nothing was done.")), t(AGAIN))

    def label(self) -> str:
        """The mode, as it stands in every message."""
        service = self._service
        if service.desk is None:
            return f"{service.config.trading.mode.upper()} · {service.setting.source.name} prices"
        return banner(*service.engine.marks())

    def delivered(self, said: Reply) -> None:
        """An answer is in its chat: the question in it may be answered. Its buttons hold the nonce."""
        for action in said.actions:
            self._confirmations.seen(action.line.rpartition(" ")[2])

    def spoken(self, chat: int) -> Language:
        """In a chat: as the first of those who are heard there reads it."""
        users = self._service.config.telegram.users
        person = next((user.user_id for user in users if user.chat_id == chat and not user.blocked), 0)
        return self.preferences.language(person)

    def menu(self, caller: Caller) -> list[tuple[str, str]]:
        """The commands that this person's phone offers."""
        with self.preferences.speaking(caller.user_id):
            return [(one.name, t(one.help)) for one in COMMANDS.allowed(caller.role)]

    def card(self, caller: Caller) -> Reply | None:
        """What stands on this person's card now; None before the first day is open."""
        service = self._service
        if service.desk is None:
            return None
        view = service.engine
        with self.preferences.speaking(caller.user_id):
            now, late = service.clock.now_ns(), service.health.delivery()
            return headed(self.label, card(view.status(), view.positions(), caller.role, now, late))

    def ending(self, caller: Caller) -> Reply:
        """What stays on it when the service has stopped."""
        with self.preferences.speaking(caller.user_id):
            return headed(self.label, ended(self._service.reason, self._service.clock.now_ns()))

    def symbols(self) -> list[str]:
        """What may be named: what is followed and what is held."""
        view = self._service.engine
        return sorted({one.symbol for one in view.rows()} | {one.symbol for one in view.positions()})

    def heard(self, heard: Heard) -> None:
        """Into the journal: who said what, allowed or not."""
        service = self._service
        service.engine.emit(command_event(heard, service.clock.now_ns()))

    def _of(self, caller: Caller) -> Context:
        context = self._context(caller.name, caller.role, caller.session)
        return replace(context, user_id=caller.user_id, wishes=self.preferences)

    def _context(self, user: str, role: Role, session: str) -> Context:
        service, people = self._service, self._people
        return Context(
            view=service.engine, user=user, role=role, session=session, table=COMMANDS,
            confirmations=self._confirmations, now_ns=service.clock.now_ns, version=__version__,
            config_text=lambda: _settings(service.config, role),
            log_tail=lambda newest: tail(service.setting.state_dir / "logs" / "system.log", newest),
            checks=service.health.checks, delivery=service.health.delivery,
            log_error=lambda what, error: get_logger("error").error(what, error=repr(error)),
            audit=self.heard, login=service.logins, pictures=service.pictures, audits=service.audits,
            people=people, stepup=people.stepup if people is not None else None,
            mode=ModeSwitch(service.engine.alert, rehearsal=service.setting.rehearsal is not None),
            settings=service.settings,
        )  # fmt: skip


@dataclass
class Phones:
    """Telegram, and one plain line an event on standard output for the supervisor's log."""

    outbox: Outbox
    pushes: Pushes
    gate: Gate
    connect: Callable[[], tuple[Phone, Cards]]  #: called once
    printer: PlainPrinter
    label: Callable[[], str]
    extras: Extras = field(init=False)
    cards: DayCards
    ending: Callable[[Caller], Reply]  #: the last word on a card
    starting: PhoneState = field(default_factory=lambda: PhoneState(since=time.time()))

    def tasks(self) -> list[Task]:
        own: list[Task] = [
            ("phone", self._later(lambda: self.phone.run())),
            ("outbox", self._later(lambda: self.outbox.run(self.phone))),
            ("cards", self._later(lambda: self.pinned.run())),
        ]
        return [*own, *self.extras.tasks()]

    def _later(self, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The library is loaded, a tenth of a second, when the first price has been decided."""

        async def made() -> None:
            if "made" not in vars(self):
                await asyncio.sleep(FIRST)
            await run()

        return made

    @cached_property
    def made(self) -> tuple[Phone, Cards]:
        found = self.connect()
        settled()
        return found

    @property
    def phone(self) -> Phone:
        return self.made[0]

    @property
    def pinned(self) -> Cards:
        return self.made[1]

    def observers(self) -> list[Observer]:
        return [self.pushes.on_event, self.printer.on_event, self.cards.on_event, *self.extras.observers()]

    def catch_up(self, diary: Iterable[Event]) -> None:
        self.pushes.catch_up(diary)

    def tell(self, reply: Told) -> None:
        self.gate.tell_admins(lambda: worded(reply))
        with speaking("en"):
            self.printer.say(headed(self.label, worded(reply)))

    @property
    def state(self) -> PhoneState:
        """Not connected before somebody is."""
        return self.phone.state if "made" in vars(self) else self.starting

    def queue(self) -> Queue:
        return self.outbox

    def line(self) -> Line:
        return self.state

    async def farewell(self, seconds: float) -> None:
        await self.pinned.end(self.ending, min(seconds, 2.0))
        await self.cards.finish(min(seconds, 3.0))
        left, _ = await asyncio.gather(self.outbox.flush(seconds), self.extras.flush(seconds))
        if left:
            get_logger().warning("stopping with messages waiting; the next start delivers them", waiting=left)

    def close(self) -> None:
        self.outbox.close()


@dataclass
class Terminals:
    """The live picture where there is a terminal, else lines; the end of the input ends nothing."""

    service: Service
    answers: Answers
    speed: str
    mouth: TerminalUI | PlainTerminal | None = field(default=None)

    def tasks(self) -> list[Task]:
        return [("terminal", self._talk)]

    def observers(self) -> list[Observer]:
        return [self._on_event]

    async def _talk(self) -> None:
        mouth = self._mouth()
        why = await mouth.run()
        if isinstance(mouth, TerminalUI):
            self.service.stop("ended at the terminal" if why == "quit" else "the terminal was closed")

    def _mouth(self) -> TerminalUI | PlainTerminal:
        if self.mouth is None:
            view = CurrentView(lambda: self.service.engine)
            folder = self.service.setting.state_dir / "pictures"
            self.mouth = terminal(view, self.answers.at_terminal, speed=self.speed, pictures=folder)
        return self.mouth

    def _on_event(self, event: Event) -> None:
        self._mouth().on_event(event)

    def catch_up(self, diary: Iterable[Event]) -> None:
        """Nobody was at the terminal of a process that is dead."""

    def queue(self) -> None:
        return None

    def line(self) -> None:
        return None

    def tell(self, reply: Told) -> None:
        print(worded(reply).to_plain(), file=sys.stderr)

    async def farewell(self, seconds: float) -> None:
        if self.mouth is not None:
            self.mouth.stop()

    def close(self) -> None:
        if self.mouth is not None:
            self.mouth.stop()


def mouths_for(secrets: Secrets, out: TextIO) -> Callable[[Service], Mouths]:
    """By what the environment holds."""

    def make(service: Service) -> Mouths:
        people = _people(service, secrets)
        answers = Answers(service, travels=secrets.telegram_token is not None, people=people)
        rehearsal = service.setting.rehearsal
        if secrets.telegram_token is None:
            return Terminals(service, answers, f"{rehearsal.speed:g}x" if rehearsal else "")
        phones = _phones(service, secrets, answers, people, out)
        _follow(service, people, answers, phones)
        return phones

    return make


def _people(service: Service, secrets: Secrets) -> People:
    return People(
        service.config.telegram.users, authenticators_for(secrets, service.setting.state_dir), service.control,
        log=lambda line: get_logger().warning(line),
    )  # fmt: skip


def _phones(service: Service, secrets: Secrets, answers: Answers, people: People, out: TextIO) -> Phones:
    settings = service.config.telegram

    def error(what: str, problem: Exception) -> None:
        get_logger("error").error(what, error=repr(problem))

    printer = PlainPrinter(out)
    outbox = Outbox(service.setting.state_dir / "outbox.jsonl", admins=lambda: gate.admin_chats)

    def knocked(line: str) -> None:
        """Who set the bot up finds his own ids here."""
        get_logger().warning(line)
        print(line, file=sys.stderr)

    def phoned(line: str) -> None:
        """A wrong token is seen where it was just given."""
        get_logger().info(line)
        print(f"otrade-bot: {line}", file=sys.stderr)

    def met(knock: Knock) -> None:
        """Nobody is named yet: the first to write is told how to be."""
        if not people.users and (said := introduction(knock)):
            print(said, file=sys.stderr)

    gate = Gate(
        settings.users, tell=outbox.put, log=knocked, audit=answers.heard, met=met, welcome=people.welcome,
        label=answers.label, spoken=answers.spoken,
    )  # fmt: skip

    def connect() -> tuple[Phone, Cards]:
        telegram_library()
        from otrade_bot.control.phone.card import Cards
        from otrade_bot.control.phone.phone import Phone

        assert secrets.telegram_token is not None
        phone = Phone(
            secrets.telegram_token.get_secret_value(), gate, answers.by_phone, outbox,
            base_url=secrets.telegram_base_url, base_file_url=secrets.telegram_base_file_url,
            menu=answers.menu, speaking=lambda caller: answers.preferences.speaking(caller.user_id),
            acts=COMMANDS.acts, may=lambda caller, line: COMMANDS.may(caller.role, line),
            symbols=answers.symbols, shelf=service.control,
            awaits=lambda caller: people.stepup.awaits(caller.session),
            label=answers.label, log=phoned, log_error=error, audit=answers.heard,
            delivered=answers.delivered, stale_s=settings.stale_seconds,
        )  # fmt: skip
        return phone, Cards(
            phone.bot, phone.offers, service.control, (lambda: gate.callers) if settings.card else tuple, answers.card,
            listening=lambda: phone.state.word == "polling", log=phoned,
        )  # fmt: skip

    pushes = Pushes(outbox, settings.users, settings.notifications, answers.label, people=answers.preferences)
    cards = DayCards(service.pictures, lambda: service.engine, pushes.beside, lambda: service.journal.head)
    phones = Phones(outbox, pushes, gate, connect, printer, answers.label, cards, answers.ending)
    phones.extras = extras_for(service, secrets, phones)
    answers.changed = lambda: phones.phone.show_menus()
    return phones


def _follow(service: Service, people: People, answers: Answers, phones: Phones) -> None:
    """Who comes is heard and told from now on, who goes is neither."""

    def changed(users: tuple[User, ...]) -> None:
        telegram = service.config.telegram.model_copy(update={"users": users})
        gone = {user.user_id for user in service.config.telegram.users} - {user.user_id for user in users}
        service.config = replace(service.config, telegram=telegram)
        phones.gate.reload(users)
        phones.pushes.reload(telegram.model_copy(update={"users": active(users)}))
        phones.outbox.restrict({user.chat_id for user in active(users)})
        for person in gone:
            answers.preferences.forget(person)
        if phones.state.last_ok:
            phones.phone.show_menus()

    answers.still = phones.gate.current
    people.username, people.tell, people.audit = (lambda: phones.phone.username), phones.tell, answers.heard
    people.dismissed = lambda user_id: service.logins.forget(user_id) if service.logins else None  # made after us
    people.follow(changed)
    people.finish()
    service.settings.people = people.take


def _settings(config: Config, role: Role) -> str:
    """As they hold. Who commands the bot is for admins to know, as in /users."""
    found = as_documents(config)
    if role < Role.ADMIN:
        found["telegram.json"]["users"] = t("(for admins)")
    return json.dumps(found, indent=1, ensure_ascii=False)


def introduction(knock: Knock) -> str:
    """What to put into telegram.json so that this person commands; empty for who has no id of his own."""
    if knock.user_id is None or knock.chat_id is None:
        return ""
    user = {"user_id": knock.user_id, "chat_id": knock.chat_id, "role": "admin", "name": "owner"}
    return (
        f'If this is you: replace "users": [] in {config_dir() / "telegram.json"} by the next line, and start again.\n'
        f'  "users": [{json.dumps(user)}],'
    )
