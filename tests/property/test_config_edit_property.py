"""One value changed in a settings file: the value is there, and nothing else has moved."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from otrade_bot.config import files
from otrade_bot.config.edit import replaced, same

NAMES = st.sampled_from(["mode", "a", 'qu"ote', "m\\ode", "ಠ", "{", "[1]"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)
INDENTS = st.sampled_from([None, 0, 1, 4, "\t"])
COMMAS = st.sampled_from([",", " ,\r\n "])


def document(values: dict[str, Any], indent: int | str | None, plain: bool, comma: str) -> files.Document:
    """As somebody wrote it by hand; lone surrogates are no UTF-8."""
    raw = ("\n " + json.dumps(values, indent=indent, ensure_ascii=plain, separators=(comma, " : "))).encode(
        "utf-8", "surrogatepass"
    )
    try:
        return files.Document("x.json", raw, files.parse(raw, "x.json"))
    except Exception:
        assume(False)
        raise


def encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(DOCUMENTS, INDENTS, st.booleans(), COMMAS, VALUES)
def test_the_value_is_there_and_every_other_byte_is_kept(
    values: dict[str, object], indent: int | str | None, plain: bool, comma: str, value: object
) -> None:
    assume(encodable(value))
    before = document(values, indent, plain, comma)
    made = replaced(before, "mode", value)
    assert same(files.parse(made, "x.json"), {**before.values, "mode": value})
    text, after = before.raw.decode(), made.decode()
    if "mode" in before.values:
        start, end = span(text)
        tail = len(text) - end
        assert after[:start] == text[:start]
        assert after[len(after) - tail :] == text[end:]
        old = before.values["mode"]
        if isinstance(old, str) and json.dumps(old, ensure_ascii=plain) == json.dumps(old, ensure_ascii=False):
            there = files.Document("x.json", made, files.parse(made, "x.json"))
            assert replaced(there, "mode", old) == before.raw  # back again gives the same bytes
    else:  # it came first, and what followed follows still
        first = text.index("{") + 1
        rest = text[first:].lstrip(" \t\r\n")
        assert after.startswith(text[:first])
        assert after.endswith(rest)


@given(DOCUMENTS, INDENTS, st.booleans(), COMMAS)
def test_what_is_already_so_changes_no_byte(
    values: dict[str, object], indent: int | str | None, plain: bool, comma: str
) -> None:
    before = document(values, indent, plain, comma)
    for key, value in before.values.items():
        assert replaced(before, key, value) == before.raw


@given(st.data(), DOCUMENTS, INDENTS, COMMAS)
def test_of_a_change_deep_inside_only_that_is_written(
    data: st.DataObject, values: dict[str, Any], indent: int | str | None, comma: str
) -> None:
    before = document(values, indent, True, comma)
    paths = list(leaves(before.values, ()))
    assume(paths)
    path = data.draw(st.sampled_from(paths))
    key, changed = path[0], json.loads(json.dumps(before.values))
    spot = changed
    for step in path[:-1]:
        spot = spot[step]
    was, spot[path[-1]] = spot[path[-1]], "a word that stands nowhere"
    made = replaced(before, key, changed[key]).decode()
    assert made.count('"a word that stands nowhere"') == 1
    assert made.replace('"a word that stands nowhere"', json.dumps(was)).encode() == before.raw


@given(st.data(), st.lists(st.dictionaries(NAMES, LEAVES, max_size=3), min_size=1, max_size=5), INDENTS, COMMAS)
def test_elements_that_come_and_go_leave_the_others_as_they_were(
    data: st.DataObject, rows: list[dict[str, Any]], indent: int | str | None, comma: str
) -> None:
    rows = [{**row, "n": number} for number, row in enumerate(rows)]
    before = document({"users": rows, "a": 1}, indent, True, comma)
    at = data.draw(st.integers(0, len(rows) - 1))
    fewer = rows[:at] + rows[at + 1 :]
    made = replaced(before, "users", fewer).decode()
    for row in pieces(before.raw.decode(), fewer, rows):
        assert row in made
    more = replaced(before, "users", [*rows, {"n": "new"}]).decode()
    text = before.raw.decode()
    assert more.startswith(text[: text.rindex("}", 0, text.rindex("]")) + 1])
    assert more.endswith(text[text.rindex("]") :])


def pieces(text: str, kept: list[Any], rows: list[Any]) -> list[str]:
    """Each kept row as it stands in the text."""
    found, at = {}, text.index("[") + 1
    for number in range(len(rows)):
        start = text.index("{", at)
        value, at = json.JSONDecoder().raw_decode(text, start)
        assert value["n"] == number
        found[number] = text[start:at]
    return [found[row["n"]] for row in kept]


def span(text: str) -> tuple[int, int]:
    """Where the value of "mode" stands among the outermost members."""
    decoder, at = json.JSONDecoder(), text.index("{") + 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        name, at = decoder.raw_decode(text, at)
        while text[at] in " \t\r\n:":
            at += 1
        _, end = decoder.raw_decode(text, at)
        if name == "mode":
            return at, end
        at = end


def leaves(value: Any, path: tuple[Any, ...]) -> Any:
    """Paths of all plain values."""
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, one in steps:
        if isinstance(one, dict | list):
            yield from leaves(one, (*path, step))
        else:
            yield (*path, step)
