"""HTML is read, and refused, as Telegram does it."""

from __future__ import annotations

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from venues.markup import MarkupError, cut, parse_html, units


def shown(source: str) -> list[tuple[str, str]]:
    text, entities = parse_html(source)
    return [(entity["type"], cut(text, entity)) for entity in entities]


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("plain", "plain", []),
        ("<B>x</b> <strong>y</STRONG>", "x y", [("bold", "x"), ("bold", "y")]),
        ("😀<i>ok</i>", "😀ok", [("italic", "ok")]),
        ("<b>a<i>b</i></b>", "ab", [("bold", "ab"), ("italic", "b")]),
        ("<u>a</><s>b</s>", "ab", [("underline", "a"), ("strikethrough", "b")]),
        ("<b></b>x", "x", []),
        ("a &lt;b&gt; &amp;&quot;&#8377;&#x20b9;", 'a <b> &"₹₹', []),
        ("&nbsp;&copy &LT; &", "&nbsp;&copy &LT; &", []),
        ("a > b", "a > b", []),
        ('<a href="https://x.in/?a=1&amp;b=2">go</a>', "go", [("text_link", "go")]),
        ("<a href='nowhere'>go</a>", "go", []),
        ('<pre><code class="language-py">x</code></pre>', "x", [("pre", "x")]),
        ("<code>x</code>", "x", [("code", "x")]),
        ('<span class="tg-spoiler">x</span>', "x", [("spoiler", "x")]),
        ("<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", "x")]),
    ],
)
def test_html_is_read_as_telegram_reads_it(source: str, text: str, entities: list[tuple[str, str]]) -> None:
    assert parse_html(source)[0] == text
    assert shown(source) == entities


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("₹<b>x</i>", 'Unmatched end tag at byte offset 7, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<br>", 'Unsupported start tag "br" at byte offset 0'),
        ("a < b", 'Unclosed start tag|Unsupported start tag "" at byte offset 2'),
        ("a <5%", "Unclosed start tag at byte offset 2"),
        ("<b/>x", 'Unsupported start tag "b/"'),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler"'),
        ('<a href="x>go</a>', "Empty attribute name|Unclosed start tag"),
        ("<p>x</p>", 'Unsupported start tag "p"'),
        ("<!-- x -->", 'Unsupported start tag "!--"'),
    ],
)
def test_html_that_telegram_refuses_is_refused(source: str, words: str) -> None:
    with pytest.raises(MarkupError, match=words):
        parse_html(source)


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r")))
def test_escaped_text_is_shown_as_it_was_written(text: str) -> None:
    assert parse_html(html.escape(text)) == (text, [])
    assert shown(f"<b>{html.escape(text)}</b>") == ([("bold", text)] if text else [])


@settings(deadline=None)
@given(st.text("<>/&;abipre= \"'x#1", max_size=30))
def test_any_text_is_read_or_refused_and_entities_lie_within_it(source: str) -> None:
    try:
        text, entities = parse_html(source)
    except MarkupError:
        return
    assert all(0 <= e["offset"] < e["offset"] + e["length"] <= units(text) for e in entities)
