"""What people read can be said in every language: no sentence stands outside of the catalogue, and nothing is lost."""

from __future__ import annotations

import ast
import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import mode_room
import pytest
from control_fakes import NOON, FakeEngine, context, position
from mode_room import Room as ModeRoom
from people_room import House
from settings_room import Room as SettingsRoom
from test_control_charts import Desk
from test_control_mute import Person
from test_control_signals import ASKED

import otrade_bot
from otrade_bot.control.commands import Context, answer
from otrade_bot.control.handlers import COMMANDS
from otrade_bot.control.news.notices import describe
from otrade_bot.control.reply import Reply, code, filled, text
from otrade_bot.control.words import VOCABULARY, day_text, many, row, rows_text, width
from otrade_bot.core import lang
from otrade_bot.core.events import Event, EventKind, Severity
from otrade_bot.core.lang import catalogue, speaking, t
from otrade_bot.core.model import Block
from otrade_bot.core.ports import LoginEnd, LoginPage
from otrade_bot.core.session import Phase

PACKAGE = Path(otrade_bot.__file__).parent

#: Where ``t`` is given what is no literal: it was marked by ``phrase`` where it is one, or is in ``words_of_data``.
PASSED_ON = {
    "control/commands.py": {"_WRONG[first['type']]", "command.help"},
    "control/handlers.py": {"command.help"},
    "control/hands.py": {"self.button", "self.question"},
    "control/news/batch.py": {"REPEAT"},
    "control/news/deaf.py": {"state.cure"},
    "control/news/notices.py": {"detail", "said.head"},
    "control/phone/phone.py": {"state.cure"},
    "control/phone/replies.py": {"REPEAT"},
    "control/words.py": {"Phase(phase).words", "_MONTHS[moment.month - 1]", "_WEEKDAYS[moment.weekday()]", "spoken"},
    "service/login_desk.py": {"self._again"},
    "service/mouths.py": {"AGAIN", "one.help"},
}

#: English in control/ that is no text for a phone, by file: pieces of the literals.
NOT_TRANSLATED = {
    "charts.py": ("Net {}", "{} {} to {} {}", "{} min"),  # pictures are English: their fonts know no other script
    "code.py": ("code {}",),  # an outcome, for the journal
    "commands.py": ("MODE UNKNOWN",),
    "confirm.py": ("nothing was asked", "the question has", "what was shown"),  # names of verdicts, never shown
    "news/extra.py": ("OTrade Bot", "OTRADE_APPRISE_URLS", "not taken", "extra channels"),
    "news/file.py": ("already closed", "cannot be set aside"),  # for the log
    "news/outbox.py": ("outbox {}",),
    "pages.py": ("{} page {}",),  # to be typed, like the next ones
    "question.py": ("{} yes {}", "{} no {}"),
    "settings.py": ("{} VALUE",),
    "stepup.py": ("otrade-bot telegram totp",),
    "users.py": ("[invite ROLE NAME|", "role {} {}", "remove {}"),
    "views_checks.py": ("{} yes", "{} no"),
    "phone/card.py": ("not modified", "message can't", "message to edit", "not pinned"),  # Telegram's own words
    "phone/erase.py": ("not found", "login address"),
    "phone/errors.py": ("chat", "user", "rights", "bot was kicked", "too many requests", "not initialized"),
    "phone/gate.py": ("stranger {}", "without an id", "user {}", "MODE UNKNOWN"),  # names
    "phone/phone.py": ("the token is not",),  # an error of the settings, for the log
    "phone/turns.py": ("command {} of {}",),
    "phone/replies.py": ("not modified",),
    "views.py": ("OTrade Bot", "recorded prices", "simulated prices", "POSITIONS ARE NOT KNOWN", "MODE UNKNOWN",
                 "{} prices", "wait for", "are over for the day"),  # the mode label; what the engine says
    "words.py": ("the day's loss limit was reached", "{} {} IST"),  # the first one is in the vocabulary
}  # fmt: skip

#: What takes a line for the log, or is an error of a programmer.
LOGGED = frozenset({"log", "_log", "log_error", "_log_error", "error", "warning", "info", "_problem", "ValueError"})


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def calls(path: Path, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def sources() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def words_of_data() -> set[str]:
    """What is translated though it stands in no ``t``: help of commands, and words that come as data."""
    return {command.help for command in COMMANDS} | VOCABULARY | {phase.words for phase in Phase}


@cache
def templates() -> Mapping[str, str]:
    """Every English template, with a place where it stands."""
    found = dict.fromkeys(words_of_data(), "data")
    for name, path in sources():
        for call in calls(path, "t", "phrase"):
            if call.args and (said := literal(call.args[0])) is not None:
                found[said] = f"{name}:{call.lineno}"
    return found


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_what_t_is_given_is_a_literal() -> None:
    strange: dict[str, set[str]] = {}
    for name, path in sources():
        for call in calls(path, "t", "phrase"):
            if not call.args or literal(call.args[0]) is None:
                strange.setdefault(name, set()).add(ast.unparse(call.args[0]) if call.args else "nothing")
    strange.pop("core/lang.py", None)
    assert strange == PASSED_ON


def test_the_values_of_a_template_are_those_it_names() -> None:
    """None at all: it is filled in later, by ``filled`` or ``many``."""
    wrong = []
    for name, path in sources():
        for call in calls(path, "t"):
            given = {one.arg for one in call.keywords}
            said = literal(call.args[0])
            if said is not None and given and None not in given and given != places(said):
                wrong.append(f"{name}:{call.lineno}: {said!r} is given {given}")
    assert wrong == []


@pytest.mark.parametrize("spoken", [one for one in lang.LANGUAGES if one != "en"])
def test_every_template_is_in_the_catalogue(spoken: lang.Language) -> None:
    missing = {said: place for said, place in templates().items() if said not in catalogue(spoken)}
    assert missing == {}


@pytest.mark.parametrize("spoken", [one for one in lang.LANGUAGES if one != "en"])
def test_a_translation_names_the_same_values(spoken: lang.Language) -> None:
    wrong = {english: said for english, said in catalogue(spoken).items() if places(english) != places(said)}
    assert wrong == {}


@pytest.mark.parametrize("spoken", [one for one in lang.LANGUAGES if one != "en"])
def test_no_translation_is_of_what_nobody_says(spoken: lang.Language) -> None:
    assert set(catalogue(spoken)) - set(templates()) == set()


# English that stands outside of ``t``.


def exempt(tree: ast.Module) -> set[ast.AST]:
    """Docstrings, annotations, what t and the log are given, rows of the command table, names in ``__all__``."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(node.value)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            if name in {"t", "phrase", "Command", *LOGGED}:
                found.update(one for part in node.args for one in ast.walk(part))
        elif isinstance(node, ast.AnnAssign):
            found.update(ast.walk(node.annotation))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            found.update(ast.walk(node.value))
    return found


def spelled(node: ast.AST) -> str | None:
    """A literal as a whole, ``{}`` for each value in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return literal(node) if isinstance(node, ast.expr) else None


WORD = re.compile(r"[('\"]*[A-Za-z][A-Za-z'-]+[.,:;!?)'\"]*")


def english(path: Path) -> Iterator[tuple[int, str]]:
    """Literals of two or more English words, or of one beside a value; commands are none."""
    tree = parsed(path)
    out = exempt(tree)
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if node in out or node in inside or not (said := spelled(node)) or said.startswith(("/", "{} /")):
            continue
        found = [one for one in said.split() if one == "{}" or WORD.fullmatch(one)]
        if len(found) >= 2 and set(found) != {"{}"}:
            yield node.lineno, said  # type: ignore[attr-defined]


def test_no_english_stands_outside_of_t_in_what_the_phone_says() -> None:
    """The picture at the terminal is English."""
    found, used = [], set()
    for path in sorted((PACKAGE / "control").rglob("*.py")):
        name = path.relative_to(PACKAGE / "control").as_posix()
        if name.startswith("screen/"):
            continue
        for line, said in english(path):
            known = [(name, piece) for piece in NOT_TRANSLATED.get(name, ()) if piece in said]
            used.update(known)
            if not known:
                found.append(f"{name}:{line}: {said!r}")
    assert found == []
    assert used == {(name, piece) for name, pieces in NOT_TRANSLATED.items() for piece in pieces}


# What is answered, in Hindi.


class Logins:
    """A LoginDesk that has an address."""

    async def begin(self, session: str, broker: str = "") -> LoginPage:
        return LoginPage("kite", "https://kite.example/login", 600.0, True)

    async def approve(self, session: str, broker: str) -> str:
        return t("{broker} asks you in its app now: say yes there within {minutes} min.", broker="Kite", minutes=10)

    async def finish(self, text: str, session: str) -> LoginEnd:
        return LoginEnd("", "AB1234")

    def waiting(self, session: str) -> str:
        return ""

    async def accept(self, session: str) -> str:
        return ""

    def drop(self, session: str) -> bool:
        return False


class Audits:
    """An AuditDesk of a whole journal."""

    async def audit(self, day: object, newest: int) -> dict[str, Any]:
        chain = {"lines": 12, "head": "abcdef", "loose": 2, "breaks": []}
        return {"day": "2021-06-01", "happenings": [], "chain": chain}


def full(line: str) -> Reply:
    """From an engine with positions, orders, trades, blocks, signals and pictures."""
    engine = FakeEngine(7)
    engine.asked = [ASKED, replace(ASKED, state="refused", reason="paused", ref="")]
    engine.held.append(position("NSE:BARE", 1, stop_resting=False, stop=0, exiting=None))
    engine.doubts = {"NSE:M&M": 5}
    engine.state = replace(engine.state, blocks=("prices are stale",), external=2, ask_seconds=20, waiting=1)
    made: Context = replace(context(engine), pictures=Desk(), login=Logins(), audits=Audits())
    return asyncio.run(answer(made, line))


def bare(line: str) -> Reply:
    """Where nothing is and nothing is known."""
    engine = FakeEngine()
    engine.followed, engine.looks, engine.refused = [], [], []
    engine.state = replace(
        engine.state, ticks=0, dropped={}, paused=True, trades=0, loss_limit=0, window="wait for 09:15", phase="closed"
    )
    return asyncio.run(answer(context(engine), line))


FULL = (
    "/start", "/help", "/status", "/card", "/positions", "/orders", "/trades", "/pnl", "/pause", "/resume", "/flatten",
    "/flatten no", "/flatten yes", "/config", "/health", "/logs", "/why M&M", "/signals", "/approve", "/skip",
    "/chart M&M", "/daily", "/weekly", "/monthly", "/performance", "/force M&M", "/force M&M yes", "/claim M&M no",
    "/close M&M", "/sl M&M 1", "/target M&M off", "/login", "/login yes", "/audit", "/nosuchthing", "/orders 0",
    "/orders one", "/orders 1 2 3", "/why", "/stat", "",
)  # fmt: skip
BARE = (
    "/status", "/card", "/positions", "/orders", "/trades", "/pnl", "/resume", "/flatten", "/flatten yes", "/health",
    "/why M&M", "/signals", "/chart M&M", "/daily", "/close M&M", "/later", "/login", "/mode", "/users", "/code",
    "/set", "/risk", "/reload", "/strategies", "/audit", "/mute", "/language", "/keyboard", "/approve", "/skip",
    "/force M&M",
)  # fmt: skip
DEVANAGARI = re.compile(r"[\u0900-\u097f]")
#: Numbers, commands, and signs that mean the same in every language.
SIGNS = re.compile(r"\d[\d,.:]*\d|\d|(?<!\S)/[a-z]+|[₹%·→×±•!]|P[123]\b|RELIANCE|M&M|BUY|SELL|P&L|IST")


def both(say: Callable[[], Reply]) -> tuple[str, str]:
    found = []
    for spoken in ("en", "hi"):
        with speaking(spoken):
            reply = say()
        found.append(" ¶ ".join((reply.to_plain(), *(one.label for one in reply.actions))))
    return found[0], found[1]


def demand_the_same(english: str, hindi: str) -> None:
    assert DEVANAGARI.search(hindi), hindi
    assert not DEVANAGARI.search(english.replace(lang.LANGUAGES["hi"], ""))
    assert Counter(SIGNS.findall(hindi)) == Counter(SIGNS.findall(english)), f"{english}\n----\n{hindi}"


@pytest.mark.parametrize("line", FULL)
def test_an_answer_in_hindi_has_the_same_numbers_and_signs(line: str) -> None:
    demand_the_same(*both(lambda: full(line)))


@pytest.mark.parametrize("line", BARE)
def test_an_answer_of_nothing_in_hindi_says_so(line: str) -> None:
    demand_the_same(*both(lambda: bare(line)))


SETTINGS = ("/risk", "/set", "/set max_positions", "/set max_positions 1", "/reload", "/strategies", "/set nothing 1",
            "/strategies momentum_ladder", "/strategies momentum_ladder stop")  # fmt: skip


@pytest.mark.parametrize("line", SETTINGS)
def test_settings_are_told_in_hindi(line: str, tmp_path: Path) -> None:
    room = SettingsRoom(tmp_path)
    demand_the_same(*both(lambda: room.ask(line)))


@pytest.mark.parametrize("line", ["/mode", "/mode live", "/mode no", "/mode live no", "/mode sideways"])
def test_the_mode_is_told_in_hindi(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mode_room.environment(monkeypatch)
    room = ModeRoom(tmp_path)
    demand_the_same(*both(lambda: room.ask(line)))


@pytest.mark.parametrize("line", ["/users", "/users invite viewer Ravi", "/users block nobody", "/code", "/users x"])
def test_people_are_told_in_hindi(line: str, tmp_path: Path) -> None:
    house = House(tmp_path)
    demand_the_same(*both(lambda: asyncio.run(house.ask(line))))


@pytest.mark.parametrize(
    "line",
    ["/mute", "/mute fill silent", "/mute quiet 22:00-07:00", "/mute snooze 30m", "/mute reset", "/mute risk off",
     "/language", "/mute snooze 3 years"],
)  # fmt: skip
def test_wishes_are_told_in_hindi(line: str, tmp_path: Path) -> None:
    person = Person(tmp_path)
    demand_the_same(*both(lambda: asyncio.run(answer(person.context, line))))


@pytest.mark.parametrize("line", ["/keyboard", "/keyboard status pnl", "/keyboard off", "/keyboard nothing"])
def test_keys_are_told_in_hindi(line: str, tmp_path: Path) -> None:
    made = replace(Person(tmp_path).context, table=COMMANDS)
    demand_the_same(*both(lambda: asyncio.run(answer(made, line))))


def test_every_command_is_asked_here() -> None:
    asked = {line.split()[0].lstrip("/") for line in (*FULL, *BARE, *SETTINGS) if line}
    assert {command.name for command in COMMANDS} - asked == {"version"}  # a name and a number


def test_the_menu_is_in_hindi() -> None:
    with speaking("hi"):
        assert all(DEVANAGARI.search(t(command.help)) for command in COMMANDS)


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.SIGNAL, NOON, "NSE:RELIANCE", data={
            "rung": 1, "side": "BUY", "quantity": 12, "price_paise": 214_000, "stop_paise": 208_650, "ref": "ab12cd",
            "seconds": 20, "unanswered": "skip"}),
        Event(EventKind.ORDER, NOON, "NSE:RELIANCE", data={
            "before": "pending", "status": "open", "leg": "entry", "side": "BUY", "quantity": 12, "type": "LIMIT"}),
        Event(EventKind.FILL, NOON, "NSE:RELIANCE", data={
            "rung": 1, "leg": "exit", "side": "SELL", "quantity": 4, "ordered": 12, "value_paise": 856_000}),
        Event(EventKind.STOP, NOON, "NSE:RELIANCE", data={"state": "missing", "rung": 1}, severity=Severity.RISK),
        Event(EventKind.TRADE, NOON, "NSE:RELIANCE", data={
            "rung": 1, "net_paise": -5_000, "entry_price": 2140.0, "exit_price": 2139.0, "quantity": 12,
            "exit_reason": "square_off", "charges_paise": 4_000}),
        Event(EventKind.BLOCK, NOON, "", "", Severity.RISK, {"on": True, "reason": "prices are stale"}),
        Event(EventKind.BLOCK, NOON, data={"on": True, "reason": "paused by command", "by": "owner"}),
        Event(EventKind.SESSION, NOON, data={"boundary": "entries_stop", "positions": 2}),
        Event(EventKind.FLATTEN, NOON, data={"state": "queued", "by": "owner"}),
        Event(EventKind.RUN, NOON, data={"state": "started", "mode": "paper", "broker": "paper", "positions": []}),
        Event(EventKind.DAY, NOON, data={
            "day": "2021-06-01", "net_paise": 100, "trades": 2, "signals": 1, "orders": 5}),
        Event(EventKind.ALERT, NOON, "NSE:RELIANCE", "a word of the engine", Severity.RISK),
        Event(EventKind.SETTING, NOON, "", "max_positions 5"),
    ],
    ids=lambda event: event.kind.value,
)  # fmt: skip
def test_a_notice_in_hindi_has_the_same_numbers_and_signs(event: Event) -> None:
    demand_the_same(*both(lambda: describe(event, "PAPER · simulated prices") or Reply()))


@pytest.mark.parametrize("block", list(Block))
def test_no_english_is_left_of_a_block(block: Block) -> None:
    event = Event(EventKind.BLOCK, NOON, data={"on": True, "reason": block.value, "by": "\u0930\u0935\u093f"})
    with speaking("hi"):
        said = describe(event)
    assert said is not None
    assert not re.search("[A-Za-z]{2}", said.to_plain())


# What it is made of.


def test_a_template_that_is_styled_in_part_keeps_its_pieces_wherever_they_stand() -> None:
    said = filled("{no} nahin, {yes} haan {{}}", yes=code("/a yes"), no=text("<b>"))
    assert said.to_html() == "&lt;b&gt; nahin, <code>/a yes</code> haan {}"
    with pytest.raises(KeyError):
        filled("{yes}")


def test_one_and_many_are_templates_of_their_own() -> None:
    assert many(1, "1 order of {x}", "{n} orders of {x}", x="SBIN") == "1 order of SBIN"
    assert many(12_345, "1 order of {x}", "{n} orders of {x}", x="SBIN") == "12,345 orders of SBIN"
    assert many(0, "1 order", "{n} orders") == "0 orders"


def test_days_are_named_in_the_language_that_is_spoken() -> None:
    assert day_text(NOON) == "Tue 1 Jun 2021"
    with speaking("hi"):
        assert SIGNS.findall(day_text(NOON)) == ["1", "2021"]
        assert not re.search("[A-Za-z]", day_text(NOON))


def test_columns_stand_below_each_other_though_marks_take_no_room() -> None:
    assert width("a") == 1
    assert width("\u0915\u094d\u0930\u093f") == 2  # two letters, a virama and a vowel sign
    line = row("\u0915\u093f", "12", 10)
    assert width(line) == 10
    table = rows_text([("\u0915\u094d\u0930\u092f", "1"), ("SBIN", "22")], "<>")
    first, second = table.splitlines()
    assert width(first) == width(second) == 7
