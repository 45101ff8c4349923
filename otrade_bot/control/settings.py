"""/risk, /set, /reload and /strategies: limits, sizes and strategies by command.

What lets more be lost than before wants a one-time code; everything is asked back with the old value and the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath

from pydantic import Field, model_validator

from otrade_bot.config.changes import value_text
from otrade_bot.config.paths import ENVIRONMENTS
from otrade_bot.control.auth import Role
from otrade_bot.control.commands import Arguments, Command, Context
from otrade_bot.control.question import Question, Word, YesNo, settle
from otrade_bot.control.reply import Action, Part, Reply, bold, code, filled, lines, text
from otrade_bot.control.settings_desk import Change, Knob, Proposal, SettingsDesk, StrategyState
from otrade_bot.control.views_risk import risk
from otrade_bot.control.words import short, symbol_text
from otrade_bot.core.errors import CommandException, ConfigException, StrategyException
from otrade_bot.core.lang import t

__all__ = ["SETTINGS", "Reload", "Set", "Strategy"]


class Set(YesNo):
    """A setting and its new value, then the answer to the question; ``nonce`` comes from a button."""

    key: str = Field("", max_length=60)
    value: str = Field("", max_length=60)
    word: Word = ""
    nonce: str = Field("", max_length=16)


class Reload(YesNo):
    word: Word = ""
    nonce: str = Field("", max_length=16)


class Strategy(YesNo):
    """A strategy, then start, stop, or what to set to which value, then the answer."""

    name: str = Field("", max_length=70)
    key: str = Field("", max_length=60)
    value: str = Field("", max_length=60)
    word: Word = ""
    nonce: str = Field("", max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _no_value(cls, given: object) -> object:
        """start and stop are followed by the answer at once."""
        if not isinstance(given, dict) or str(given.get("key", "")).lower() not in ("start", "stop"):
            return given
        words = [given[name] for name in ("value", "word", "nonce") if given.get(name)]
        answer = dict(zip(("word", "nonce"), words, strict=False))
        return {"name": given.get("name", ""), "key": given["key"].lower(), **answer}


async def _risk(context: Context, _: Arguments) -> Reply:
    return risk(context.view.status(), context.view.positions(), _desk(context).config)


async def _set(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Set)
    desk = _desk(context)
    if not arguments.value:
        return _knobs(desk, arguments.key)
    proposal = _asked(lambda: desk.proposed(arguments.key, arguments.value))
    line = f"/set {arguments.key} {arguments.value}"
    return _decide(context, desk, line, proposal, arguments, t("Change {key}?", key=arguments.key))


async def _reload(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Reload)
    desk = _desk(context)
    proposal = _asked(desk.reloaded)
    if not proposal.changes:
        return text(t("The files say what this run does: nothing to change."))
    if not proposal.acts:
        return lines(bold(t("Nothing of it can take effect before the next start:")), *_listed(proposal))
    return _decide(context, desk, "/reload", proposal, arguments, t("Take over what the files say?"))


async def _strategies(context: Context, arguments: Arguments) -> Reply:
    assert isinstance(arguments, Strategy)
    desk = _desk(context)
    if not arguments.name:
        return _overview(desk.strategies())
    if not arguments.key:
        return _one(_named(desk, arguments.name))
    label = _named(desk, arguments.name).label
    if arguments.key in ("start", "stop"):
        on = arguments.key == "start"
        proposal = _asked(lambda: desk.switched(label, on))
        head = t("Start {name}?", name=label) if on else t("Stop {name}?", name=label)
        return _decide(context, desk, f"/strategies {label} {arguments.key}", proposal, arguments, head)
    if not arguments.value:
        return _parameter(_named(desk, label), arguments.key)
    proposal = _asked(lambda: desk.parameter(label, arguments.key, arguments.value))
    line = f"/strategies {label} {arguments.key} {arguments.value}"
    head = t("Change {key} of {name}?", key=arguments.key, name=label)
    return _decide(context, desk, line, proposal, arguments, head)


# --- one way for all --------------------------------------------------------------------------------


def _desk(context: Context) -> SettingsDesk:
    if context.settings is None:
        raise CommandException(t("Settings cannot be changed here."))
    return context.settings


def _brief(error: ConfigException | StrategyException) -> str:
    """Without the folders before config's own: on a phone the file's name says it."""
    path = PurePath(error.file)
    name = "/".join(path.parts[-2:]) if path.parent.name in ENVIRONMENTS else path.name
    return str(error).replace(str(error.file), name, 1) if error.file else str(error)


def _asked(propose: Callable[[], Proposal]) -> Proposal:
    """What the files or the bounds say against it is the answer."""
    try:
        return propose()
    except (ConfigException, StrategyException) as error:
        raise CommandException(t("Nothing was changed: {why}", why=_brief(error))) from error


def _decide(
    context: Context, desk: SettingsDesk, line: str, proposal: Proposal, given: Set | Reload | Strategy, head: str
) -> Reply:
    """Nothing in here waits: what was judged still holds when it is written."""
    if given.word != "no":
        if not proposal.changes:
            return text(t("It is so already: nothing was changed."))
        if proposal.against:
            context.confirmations.drop(context.session, line)
            return lines(bold(t("Nothing was changed. It is not possible now:")), *_bullets(proposal.against))
        needed = context.prove(line, t("More can be lost with that")) if proposal.raises else None
        if needed is not None:
            return needed
    body = lines(
        *_listed(proposal), t("More can be lost than before.") if proposal.raises else "", *_bullets(proposal.notes)
    )
    said = settle(context, Question(line, (line, proposal.stamp), head, body, t("Change it")), given.word, given.nonce)
    if said is not None:
        return said
    try:
        path = desk.apply(proposal, context.user)
    except ConfigException as error:
        raise CommandException(t("Nothing was changed: {why}", why=_brief(error))) from error
    written = t("Written to {file}.", file=path) if path else ""
    return lines(bold(t("Changed.")), *_listed(proposal), written, *_bullets(proposal.notes))


def _bullets(points: Iterable[str]) -> list[str]:
    return [f"• {point}" for point in points]


def _listed(proposal: Proposal) -> list[Part]:
    return [_change(change) for change in proposal.changes]


def _change(change: Change) -> Reply:
    old, new = short(value_text(change.old), 60), short(value_text(change.new), 60)
    return text(code(change.key), " ", old, " → ", bold(new), " · ", _when(change))


def _when(change: Change) -> str:
    if change.effect == "now":
        return t("at once")
    if change.effect == "flat":
        return t("for new positions")
    return t("the desk is opened again for it") if change.effect == "reopen" else t("not before the next start")


# --- what there is ----------------------------------------------------------------------------------


def _knobs(desk: SettingsDesk, key: str) -> Reply:
    known = desk.knobs()
    if key:
        found = [one for one in known if one.key == key.lower()] or [one for one in known if key.lower() in one.key]
        if len(found) == 1:
            return _knob(found[0], f"/set {found[0].key}")
        if not found:
            raise CommandException(t("{key} cannot be set here. /set lists what can.", key=short(key, 40)))
        known = found
    out: list[Part] = [bold(t("Settings that can be changed"))]
    for file in dict.fromkeys(one.file for one in known):
        out.append(text(file))
        out += [text(code(one.key), " ", bold(value_text(one.value))) for one in known if one.file == file]
    return lines(*out, filled(t("{explain} explains one, {put} sets it."), explain=code("/set KEY"),
                               put=code("/set KEY VALUE")))  # fmt: skip


def _knob(knob: Knob, how: str) -> Reply:
    default = f" ({t('its default')})" if knob.default else ""
    return lines(
        text(code(knob.key), " ", bold(value_text(knob.value)), default),
        knob.words,
        text(t("Allowed: {what}", what=knob.allowed)) if knob.allowed else "",
        filled(t("{put} sets it."), put=code(f"{how} VALUE")),
    )


def _named(desk: SettingsDesk, word: str) -> StrategyState:
    every = desk.strategies()
    found = [one for one in every if one.label.lower() == word.lower()]
    found = found or [one for one in every if one.label.lower().startswith(word.lower())]
    if len(found) != 1:
        names = ", ".join(one.label for one in every)
        raise CommandException(t("There is no strategy {name} here: {names}", name=short(word, 40), names=names))
    return found[0]


def _overview(every: list[StrategyState]) -> Reply:
    out: list[Part] = [bold(t("Strategies"))]
    actions: list[Action] = []
    for one in every:
        out.append(_summary(one))
        actions.append(_switch(one))
        actions.append(Action(t("Parameters of {name}", name=one.label), f"/strategies {one.label}"))
    how = filled(t("{command} shows the parameters of one."), command=code("/strategies NAME"))
    return Reply(lines(*out, how).runs, tuple(actions))


def _switch(one: StrategyState) -> Action:
    if one.enabled:
        return Action(t("Stop {name}", name=one.label), f"/strategies {one.label} stop")
    return Action(t("Start {name}", name=one.label), f"/strategies {one.label} start")


def _summary(one: StrategyState) -> Reply:
    state = t("on") if one.enabled else t("STOPPED: no entries")
    names = short(", ".join(symbol_text(symbol) for symbol in one.instruments), 60)
    capital = value_text(one.capital)
    return lines(
        text(bold(one.label), " · ", bold(state), " · ", one.timeframe, " · ", names),
        t("₹{capital} a rung, rungs open: {n}", capital=capital, n=one.open_rungs),
        _cold(one),
    )


def _cold(one: StrategyState) -> str:
    if not one.cold:
        return ""
    names = short(", ".join(f"{symbol} {bars}/{need}" for symbol, bars, need in one.cold), 90)
    return t("Not warm, so no entries yet (bars known/needed): {names}", names=names)


def _one(one: StrategyState) -> Reply:
    rows = [
        text(code(knob.key), " ", bold(value_text(knob.value)), "" if knob.default else f" ({t('set')})")
        for knob in one.params
    ]
    own = "" if not one.own_capital else f" ({t('its own')})"
    said = lines(
        _summary(one),
        text(code("capital"), " ", bold(value_text(one.capital)), own),
        *rows,
        filled(t("{explain} explains one, {put} sets it, {default} as the value gives it back."),
               explain=code(f"/strategies {one.label} KEY"), put=code(f"/strategies {one.label} KEY VALUE"),
               default=code("default")),
    )  # fmt: skip
    return Reply(said.runs, (_switch(one),))


def _parameter(one: StrategyState, key: str) -> Reply:
    how = f"/strategies {one.label} {key}"
    if key == "capital":
        words = t("Rupees that buy one rung of this strategy; default = capital_per_position of trading.json.")
        return _knob(Knob("trading.json", key, one.capital, "", words, not one.own_capital), how)
    found = next((knob for knob in one.params if knob.key == key.lower()), None)
    if found is None:
        names = ", ".join(["capital", *(knob.key for knob in one.params)])
        raise CommandException(t("{name} has no {key}: {names}", name=one.label, key=short(key, 40), names=names))
    return _knob(found, how)


SETTINGS = (
    Command("risk", Role.VIEWER, "limits, and how much of them is used", _risk),
    Command("set", Role.ADMIN, "change a limit or a size, after a question", _set, Set, "[KEY [VALUE]]"),
    Command("reload", Role.ADMIN, "read the settings files again, after a question", _reload, Reload),
    Command(
        "strategies", Role.ADMIN, "start, stop and tune strategies, after a question", _strategies, Strategy,
        "[NAME [start|stop|KEY [VALUE]]]",
    ),
)  # fmt: skip
