"""Whatever is said, every part that is sent is short enough, balanced, and nothing is lost."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from otrade_bot.control.news.batch import ROOM, picked, rendered
from otrade_bot.control.news.entry import Entry, Item, What, html_units
from otrade_bot.control.news.notices import describe
from otrade_bot.control.pages import paged
from otrade_bot.control.phone.replies import CAPTION, _parts
from otrade_bot.control.reply import LIMIT, Picture, Reply, bold, code, italic, lines, pre, text
from otrade_bot.control.screen.keys import Keys, LineEditor
from otrade_bot.core.events import Event, EventKind, Severity

ALLOWED = {"b", "i", "code", "pre"}
NASTY = st.text(
    st.one_of(st.sampled_from("<>&;/b \n\t\"'₹😀\x1b\x00\u202e\ud800"), st.characters()), max_size=120
)


def _replies() -> st.SearchStrategy[Reply]:
    leaf = NASTY.map(text)
    builders = st.sampled_from([text, bold, italic, code, pre])
    return st.recursive(
        leaf,
        lambda inner: st.builds(lambda build, parts: build(*parts), builders, st.lists(inner, max_size=5)),
        max_leaves=20,
    )


class Balanced(HTMLParser):
    """Fails on anything but the subset, properly nested; collects the characters and their tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in ALLOWED
        assert not attrs
        assert not {"code", "pre"} & set(self.open), "fixed width holds no other style"
        assert not (tag in ("code", "pre") and self.open), "fixed width stands in no other style"
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert "<" not in data
        assert "&" not in data
        self.seen += [(character, tuple(sorted(self.open))) for character in data]

    def handle_entityref(self, name: str) -> None:
        assert name in ("amp", "lt", "gt")
        self.seen.append((unescape(f"&{name};"), tuple(sorted(self.open))))

    def handle_charref(self, name: str) -> None:
        raise AssertionError(f"&#{name}; was never written")

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment was never written")


def characters(html: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


def styles(reply: Reply) -> list[tuple[str, tuple[str, ...]]]:
    return [(character, tuple(sorted(run.tags))) for run in reply.runs for character in run.text]


@given(_replies())
def test_html_is_balanced_and_says_exactly_the_plain_text_in_its_styles(reply: Reply) -> None:
    assert characters(reply.to_html()) == styles(reply)
    reply.to_html().encode("utf-8")


@given(_replies(), st.integers(32, 200))
def test_parts_fit_are_balanced_and_lose_nothing(reply: Reply, limit: int) -> None:
    parts = reply.split(limit)
    assert "".join(part.to_plain() for part in parts) == reply.to_plain()
    assert [one for part in parts for one in characters(part.to_html())] == styles(reply)
    for part in parts:
        assert part
        assert len(part.to_html().encode("utf-16-le")) // 2 <= limit


@given(_replies())
def test_a_reply_that_fits_stays_whole(reply: Reply) -> None:
    size = max(len(reply.to_html().encode("utf-16-le")) // 2, 32)
    assert len(reply.split(size)) == bool(reply)


def units(reply: Reply) -> int:
    return len(reply.to_html().encode("utf-16-le")) // 2


def _long() -> st.SearchStrategy[Reply]:
    """Some of them several messages long, in few lines or many."""
    return st.builds(
        lambda head, said, times, gap: text(head, *[text(said, gap)] * times),
        _replies(), _replies(), st.integers(1, 60), st.sampled_from(["", " ", "\n", "\n  "]),
    )  # fmt: skip


@settings(max_examples=40)
@given(_long(), st.integers(200, 3000))
def test_pages_are_balanced_near_their_size_and_lose_nothing(reply: Reply, size: int) -> None:
    shown, turns = [], 1
    heading = reply.to_plain().partition("\n")[0]
    while True:
        page = paged(reply, "/x", turns, size=size)
        characters(page.to_html())
        said = page.to_plain()
        if page is reply:
            shown.append(said)
            break
        body, _, foot = said.rpartition("\n")
        assert foot.startswith(f"Page {turns} of ")
        if turns > 1:
            assert body.startswith(heading)
            body = body.removeprefix(heading)
        assert len(body) <= size + 1
        shown.append(body)
        turns += 1
        if f"/x page {turns}" not in [one.line for one in page.actions]:
            break
    assert "".join(shown).replace("\n", "") == reply.to_plain().replace("\n", "")


@settings(max_examples=40)
@example(text(*[text(code("a symbol"), " ")] * 60))
@given(_long())
def test_what_stands_under_a_picture_fits_there_and_the_rest_follows_whole(reply: Reply) -> None:
    parts = _parts(Reply(reply.runs, (), Picture("day.png", b"")), LIMIT)
    assert parts[0].picture is not None
    assert not any(part.picture for part in parts[1:])
    assert units(parts[0]) <= CAPTION
    assert all(units(part) <= LIMIT for part in parts)
    for part in parts:
        characters(part.to_html())
    assert "".join(part.to_plain() for part in (parts[1:] or parts)) == reply.to_plain()


NEWS = st.tuples(_replies(), st.sampled_from(["alert", "order", "refusal", ""]), NASTY, st.integers(0, 10**6))


@settings(max_examples=40)
@given(
    st.lists(NEWS, min_size=1, max_size=8), st.integers(1, 40), st.booleans(), st.booleans(),
    st.sampled_from(["first", "news"]),
)  # fmt: skip
def test_packs_and_digests_fit_are_balanced_and_take_each_message_once(
    news: list[tuple[Reply, str, str, int]], times: int, repeat: bool, whole: bool, lane: Any
) -> None:
    label = italic("PAPER · simulated prices")
    begin = 1_622_529_000_000_000_000
    waiting = [
        Item(Entry(number, (7,), said, False, begin, html_units(said), lane=lane,
                   what=What(kind, symbol, begin + (ms + number) * 10**9)))
        for number, (reply, kind, symbol, ms) in enumerate(news * times)
        for said in lines(bold("Alert"), reply, label).split(ROOM)
    ]  # fmt: skip
    while waiting:
        batch = picked(waiting, lane, begin + 10**12, lagging=True, whole=whole)
        assert batch == waiting[: len(batch)], "the next ones, nothing left out"
        said = rendered([item.entry for item in batch], begin + 10**12, repeat=repeat)
        characters(said.to_html())
        assert units(said) <= LIMIT
        del waiting[: len(batch)]


@given(NASTY)
def test_nothing_that_drives_a_terminal_survives(raw: str) -> None:
    plain = text(raw).to_plain()
    assert not any(ord(one) < 32 and one != "\n" for one in plain)
    assert "\x7f" not in plain
    assert "\u202e" not in plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "strategy",
        "rung",
        "side",
        "quantity",
        "price_paise",
        "stop_paise",
        "target_paise",
        "code",
        "reason",
        "tag",
        "leg",
        "filled",
        "status",
        "type",
        "trigger_paise",
        "value_paise",
        "ordered",
        "level_paise",
        "state",
        "entry_price",
        "exit_price",
        "exit_reason",
        "gross_paise",
        "charges_paise",
        "net_paise",
        "on",
        "boundary",
        "trades",
        "open_positions",
        "dropped",
        "by",
        "positions",
        "strategies",
        "external",
        "stop_resting",
        "resumed",
        "day",
        "wins",
        "losses",
        "best",
        "worst",
        "refusals",
        "next_session",
    ]
)
WORDS = st.sampled_from(["open", "rejected", "cancelled", "armed", "missing", "square_off", "BUY", "started", "card"])


@given(
    st.sampled_from(EventKind),
    st.sampled_from(Severity),
    NASTY,
    NASTY,
    st.dictionaries(KEYS, JSON | WORDS, max_size=12),
)
def test_a_notice_never_fails_and_is_always_valid(
    kind: EventKind, severity: Severity, symbol: str, said: str, data: dict[str, Any]
) -> None:
    notice = describe(Event(kind, 1_622_529_000_000_000_000, symbol, said, severity, data))
    if notice is not None:
        characters(notice.to_html())
        assert notice.to_plain().startswith("12:00:00 ")


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_no_keystrokes_break_the_line(chunks: list[bytes]) -> None:
    keys, editor = Keys(), LineEditor(longest=20)
    for chunk in chunks:
        for key in keys.feed(chunk):
            editor.press(key)
            assert 0 <= editor.cursor <= len(editor.text) <= 20
            assert editor.text.isprintable()


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30), st.integers(1, 5))
def test_text_cut_anywhere_arrives_whole(typed: str, size: int) -> None:
    data = typed.encode()
    keys, editor = Keys(), LineEditor()
    for start in range(0, len(data), size):
        for key in keys.feed(data[start : start + size]):
            editor.press(key)
    assert editor.text == typed
