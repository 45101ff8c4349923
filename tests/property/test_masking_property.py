"""Whatever structure carries a registered secret, it is not in the file."""

from __future__ import annotations

import dataclasses
import json
import logging
import string
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otrade_bot.core.clock import ManualClock
from otrade_bot.core.events import Event, EventKind
from otrade_bot.core.masking import SHORTEST, forget_secrets, mask_text, register_secret
from otrade_bot.service import logs
from otrade_bot.service.journal import DayJournal

NOON = 1_622_529_000_000_000_000


@dataclasses.dataclass
class Box:
    content: Any


class Opaque:
    def __init__(self, content: object) -> None:
        self.content = content

    def __repr__(self) -> str:
        return f"Opaque({self.content!r})"


# Any text but lone surrogates; alphanumerics get their own share, since real tokens look like that.
secrets = st.one_of(
    st.text(string.ascii_letters + string.digits + "-_:/+=", min_size=SHORTEST, max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST, max_size=20),
).filter(lambda text: len(text.strip()) >= SHORTEST)


def carriers(secret: str, *, json_only: bool = False) -> st.SearchStrategy[Any]:
    around = st.text(string.printable, max_size=6)
    texts = st.builds(lambda before, after: before + secret + after, around, around)
    leaves = [texts, st.integers(-(2**63), 2**63 - 1), st.floats(), st.none(), st.booleans()]
    if not json_only:
        leaves += [texts.map(str.encode), texts.map(ValueError), texts.map(Opaque), texts.map(Path)]
    grown = [
        lambda inner: st.lists(inner, max_size=3),
        lambda inner: st.dictionaries(texts | around, inner, max_size=3),
    ]
    if not json_only:
        grown += [
            lambda inner: st.lists(inner, max_size=3).map(tuple),
            lambda inner: inner.map(Box),
            lambda inner: inner.map(Opaque),
            lambda inner: inner.map(lambda value: KeyError("k", value)),
        ]
    return st.recursive(
        st.one_of(leaves), lambda inner: st.one_of([grow(inner) for grow in grown]), max_leaves=6
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_registered_secret_never_appears_in_a_log_file(data: st.DataObject) -> None:
    secret = data.draw(secrets)
    value = data.draw(carriers(secret))
    forget_secrets()
    with tempfile.TemporaryDirectory() as state:
        try:
            logs.configure(state)
            register_secret(secret)
            logs.get_logger().error(f"event {secret}", value=value, **{f"name {secret}": 1})
            logging.getLogger("telegram").warning("failed: %r", value)
            logs.shutdown()
            assert_absent(secret, Path(state) / "logs")
        finally:
            logs.shutdown()
            forget_secrets()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_registered_secret_never_appears_in_the_journal(data: st.DataObject) -> None:
    secret = data.draw(secrets.filter(lambda text: not text.strip().isdigit()))
    value = data.draw(carriers(secret, json_only=True))
    forget_secrets()
    register_secret(secret)
    with tempfile.TemporaryDirectory() as state:
        try:
            with DayJournal(state, ManualClock(NOON)) as journal:
                journal.append(Event(EventKind.COMMAND, NOON, text=f"/x {secret}", data={"v": value}))
            assert_absent(secret, Path(state) / "journal")
        finally:
            forget_secrets()


def assert_absent(secret: str, folder: Path) -> None:
    """Neither in any decoded text of any line nor, where JSON would write it as it is, in the bytes."""
    for path in folder.iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            for text in texts_of(json.loads(line)):
                assert secret not in text
        if json.dumps(secret, ensure_ascii=False)[1:-1] == secret and '"' not in secret:
            assert secret not in path.read_text(encoding="utf-8")


def texts_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


@given(st.text(max_size=200))
def test_masking_any_text_gives_text_that_can_be_written(text: str) -> None:
    mask_text(text).encode()
