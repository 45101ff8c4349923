"""Was a day's journal left as it was written, and what came of each command: decision, order, fill.

The lines are those of ``docs/journal.md``, read as bytes: a hash covers every one of them. Run as a program it answers
for the service (``python -m otrade_bot.research.audit``): a question as JSON on its input, ``audit`` on its output.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from otrade_bot.core.chain import NOTHING, hash_of, unsealed
from otrade_bot.core.errors import DataException

__all__ = ["Break", "Chain", "audit", "chain_of", "happenings", "render"]

#: Longest list of breaks that is told one by one.
_MOST_BREAKS = 20
#: Of one text, characters.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Break:
    """``line`` counts from 1. ``what`` was changed, in words."""

    line: int
    time: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Chain:
    """``head``: the hash of the last line, to be compared with the one that was told. ``loose``: lines without a hash,
    of an older version."""

    lines: int
    loose: int
    head: str
    follows: str  #: the hash that the first line says it follows
    breaks: tuple[Break, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.breaks


def chain_of(raw: Iterable[bytes], before: Container[str] = ()) -> Chain:
    """Follow the chain. ``before``: the hashes of the day before; the first line follows one of them, or begins one.
    It need not be the last: a report of the evening may come in the morning."""
    head = follows = ""
    count = loose = 0
    breaks: list[Break] = []
    for line in raw:
        if not line.endswith(b"\n"):
            break  # being written, or torn by a kill: the next start removes it
        count += 1
        body, found = unsealed(line)
        row = _parsed(body)
        if not found:
            loose += 1
            if head or row is None:
                breaks.append(_break(count, row, "bears no hash: put in, or its end was changed"))
            continue
        claimed = str(row.get("follows", "")) if row else ""
        if not head:
            follows = head = claimed or NOTHING
            if follows != NOTHING and follows not in before:
                breaks.append(_break(count, row, "follows a line that the journal of the day before does not have"))
        elif claimed:
            breaks.append(_break(count, row, "begins a new chain: lines before it were removed or changed"))
            head = claimed
        if hash_of(head, body) != found:
            breaks.append(_break(count, row, "it, or what stood before it, was changed or removed"))
        head = found
    return Chain(count, loose, head, follows, tuple(breaks))


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        row = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _break(line: int, row: Mapping[str, Any] | None, what: str) -> Break:
    row = row or {}
    kind = " ".join(filter(None, (str(row.get("kind", "")), str(row.get("symbol", "")))))
    return Break(line, str(row.get("ts", ""))[11:19], kind, what)




#: What tells of a decision, when it bears the command's mark.
_DECISIONS = frozenset(
    {"block", "flatten", "setting", "level", "close", "refusal", "alert", "stop", "signal", "session", "approval"}
)


def happenings(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Commands and signals in the order of the day, each with ``decisions``, ``orders`` and their ``fills``."""
    found: list[dict[str, Any]] = []
    by_mark: dict[str, dict[str, Any]] = {}
    signals: dict[tuple[str, int], dict[str, Any]] = {}
    orders: dict[str, dict[str, Any]] = {}
    for line in lines:
        kind, cause = line.get("kind"), str(line.get("cause", ""))
        if kind == "command":
            one = _happening(line)
            found.append(one)
            if mark := line.get("mark"):
                by_mark[str(mark)] = one
        elif kind == "signal":
            one = _happening(line)
            found.append(one)
            signals[str(line.get("symbol", "")), int(line.get("rung", 0))] = one
        elif kind == "order":
            _order(line, orders, by_mark.get(cause), signals)
        elif kind == "fill" and (tag := str(line.get("tag", ""))) in orders:
            orders[tag]["fills"].append(_short(line))
        if cause in by_mark and kind in _DECISIONS:
            by_mark[cause]["decisions"].append(_short(line))
        elif kind in ("refusal", "approval"):
            signal = signals.get((str(line.get("symbol", "")), int(line.get("rung", 0))))
            if signal is not None:
                signal["decisions"].append(_short(line))
    return found


def _order(
    line: Mapping[str, Any], orders: dict[str, dict[str, Any]], command: dict[str, Any] | None,
    signals: Mapping[tuple[str, int], dict[str, Any]],
) -> None:  # fmt: skip
    """Under the command that it bears the mark of, else under the signal of its rung; once each."""
    tag = str(line.get("tag", ""))
    slot = (str(line.get("symbol", "")), int(line.get("rung", 0)))
    known = orders.get(tag)
    if known is None:
        known = orders[tag] = {"tag": tag, "fills": []}
    known.update(_short(line), fills=known["fills"])
    for owner in (command, signals.get(slot) if line.get("leg") == "entry" or command is None else None):
        if owner is not None and not any(one is known for one in owner["orders"]):
            owner["orders"].append(known)


def _happening(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**_short(line), "decisions": [], "orders": []}


_LEFT_OUT = frozenset({"ns", "severity", "chain", "follows", "ts", "mark", "cause"})


def _short(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": str(line.get("ts", "")), **{key: value for key, value in line.items() if key not in _LEFT_OUT}}


def audit(path: Path, earlier: Path | None = None, newest: int = 0) -> dict[str, Any]:
    """Of one day's file: ``chain`` and ``happenings``; ``newest`` 0 is all of them. ``earlier``: the file of the day
    before. Raises DataException where a file cannot be read."""
    try:
        with path.open("rb") as file:
            lines = list(file)
        chain = chain_of(lines, _hashes(earlier) if earlier else ())
    except OSError as error:
        raise DataException(f"{path}: cannot be read: {error.strerror}") from error
    told = happenings(row for line in lines if (row := _parsed(line)) is not None)
    commands = [one for one in told if one.get("kind") == "command"]
    return {
        "day": path.stem,
        "chain": {**asdict(chain), "whole": chain.whole},
        "commands": len(commands),
        "happenings": told[-newest:] if newest else told,
    }


def _hashes(path: Path) -> set[str]:
    with path.open("rb") as file:
        return {found for line in file if (found := unsealed(line)[1])}


def render(found: Mapping[str, Any]) -> str:
    """For a terminal."""
    out = [f"Audit of {found['day']}", *verdict(found["chain"]), ""]
    for one in found["happenings"]:
        out += told(one)
    return "\n".join(out)


def verdict(chain: Mapping[str, Any]) -> list[str]:
    """The chain in words, the breaks one by one."""
    loose = f", {chain['loose']} without a hash" if chain["loose"] else ""
    head = f"{chain['lines']} lines{loose}, the last hash is {chain['head'] or 'none'}"
    breaks = chain["breaks"]
    if not breaks:
        return [f"The journal is as it was written: {head}"]
    said = [f"line {one['line']} ({one['time']} {one['kind']}): {one['what']}" for one in breaks[:_MOST_BREAKS]]
    more = [f"and {len(breaks) - _MOST_BREAKS} more"] if len(breaks) > _MOST_BREAKS else []
    return [f"THE JOURNAL WAS CHANGED in {len(breaks)} places: {head}", *said, *more]


def told(one: Mapping[str, Any]) -> list[str]:
    """A command or a signal, and below it what came of it."""
    clock = str(one["time"])[11:19]
    if one.get("kind") == "command":
        head = f"{clock} {_flat(one.get('user', '?'))}: {_flat(one.get('line', ''))} · {one.get('outcome', '')}"
    else:
        what = f"P{one.get('rung', '?')} {one.get('side', '')} {one.get('quantity', '')}"
        head = f"{clock} signal {one.get('symbol', '')} {what} ({one.get('strategy', '')})"
    out = [head]
    out += [f"  {str(decision['time'])[11:19]} {_decided(decision)}" for decision in one["decisions"]]
    for order in one["orders"]:
        out.append(f"  {str(order['time'])[11:19]} order {_ordered(order)}")
        out += [f"    {str(fill['time'])[11:19]} filled {fill.get('quantity', '')}" for fill in order["fills"]]
    return out


def _decided(line: Mapping[str, Any]) -> str:
    on = {True: "on", False: "off"}.get(line.get("on"), "")  # type: ignore[arg-type]
    words = (line.get("kind"), line.get("symbol"), line.get("state"), line.get("reason"), on, line.get("text"))
    return " ".join(_flat(word) for word in words if word)


def _ordered(line: Mapping[str, Any]) -> str:
    words = (
        line.get("symbol"), f"P{line.get('rung', '?')}", line.get("leg"), line.get("side"), line.get("quantity"),
        line.get("type"), line.get("status"), line.get("order_id") or line.get("tag"), line.get("reason"),
    )  # fmt: skip
    return " ".join(_flat(word) for word in words if word)


def _flat(said: object) -> str:
    """What people or brokers wrote: on one line, lest it looks like a row of ours, and no longer than is of use."""
    plain = "".join(one if one.isprintable() else " " for one in str(said))
    plain = " ".join(plain.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _answer() -> None:
    question = orjson.loads(sys.stdin.buffer.read())
    earlier = Path(question["earlier"]) if question.get("earlier") else None
    found = audit(Path(question["path"]), earlier, int(question.get("newest", 0)))
    sys.stdout.buffer.write(orjson.dumps(found))


if __name__ == "__main__":
    _answer()
