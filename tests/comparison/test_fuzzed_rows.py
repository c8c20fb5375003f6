"""Any content of a task's file: its rows are read, or nothing, and never an error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protoxai.comparison.stored import Row, _digest, read_rows, write_rows

ORIGINAL = {
    "red, cost": Row((1.0, math.nan), "memory is not measured", "", 0.5),
    "red, units": Row((), "", "no units", 0.25),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(["rows", "digest"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / "task.json"
    write_rows(path, ORIGINAL)
    return path, path.read_bytes()


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Other content, a piece replaced, or a key replaced, added or removed."""
    kind = draw(st.sampled_from(["other", "piece", "key", "missing"]))
    if kind == "other":
        return draw(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
    if kind == "piece":
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(start + 8, len(content))))
        return content[:start] + draw(st.binary(max_size=8)) + content[stop:]
    config = json.loads(content)
    if kind == "key":
        config[draw(KEYS | st.text(max_size=5))] = draw(JSON)
    else:
        del config[draw(KEYS)]
    return json.dumps(config).encode()


def reads_the_original_or_nothing(stored: tuple[Path, bytes], data: st.DataObject) -> None:
    path, content = stored
    path.write_bytes(data.draw(damaged(content)))
    assert repr(read_rows(path)) in (repr(ORIGINAL), "{}")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_content_is_the_original_or_nothing(stored, data) -> None:
    reads_the_original_or_nothing(stored, data)


@pytest.mark.nightly
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_content_is_the_original_or_nothing_at_length(stored, data) -> None:
    reads_the_original_or_nothing(stored, data)


ROW = st.lists(JSON, max_size=5) | JSON


@settings(max_examples=100)
@given(rows=st.dictionaries(st.text(max_size=5), ROW, max_size=3) | JSON)
def test_intact_content_of_another_version_is_never_an_error(stored, rows) -> None:
    path, _ = stored
    path.write_text(json.dumps({"rows": rows, "digest": _digest(path, rows)}))
    read_rows(path)


def test_it_is_read_as_it_was_written(stored) -> None:
    path, content = stored
    path.write_bytes(content)
    assert repr(read_rows(path)) == repr(ORIGINAL)
    # Under the name of another task, the values would count as those of that one.
    other = path.with_name("other.json")
    other.write_bytes(content)
    assert read_rows(other) == read_rows(path.parent) == read_rows(path.parent / "none") == {}


def test_what_may_change_is_not_kept(tmp_path: Path) -> None:
    write_rows(tmp_path / "task.json", {"broken": Row(failure="it broke", final=False)})
    assert read_rows(tmp_path / "task.json") == {}
