"""One word changed in a settings file: the word is there, and nothing else has moved."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from otrade_bot.config import files
from otrade_bot.config.edit import replaced

NAMES = st.sampled_from(["mode", "a", 'qu"ote', "m\\ode", "ಠ", "{", "[1]"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans(),
    st.sampled_from([",", " ,\r\n "]), st.text(),
)  # fmt: skip
def test_the_word_is_there_and_every_other_byte_is_kept(
    values: dict[str, object], indent: int | str | None, plain: bool, comma: str, word: str
) -> None:
    raw = ("\n " + json.dumps(values, indent=indent, ensure_ascii=plain, separators=(comma, " : "))).encode(
        "utf-8", "surrogatepass"
    )
    try:
        before = files.Document("x.json", raw, files.parse(raw, "x.json"))
        word.encode()
    except Exception:
        return  # lone surrogates are no UTF-8
    made = replaced(before, "mode", word)
    assert files.parse(made, "x.json") == {**before.values, "mode": word}
    if "mode" in before.values:  # back again gives the same bytes
        there = files.Document("x.json", made, files.parse(made, "x.json"))
        old = before.values["mode"]
        if isinstance(old, str) and json.dumps(old, ensure_ascii=plain) == json.dumps(old, ensure_ascii=False):
            assert replaced(there, "mode", old) == raw
