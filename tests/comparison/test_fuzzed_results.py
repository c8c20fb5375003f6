"""Any content of a stored result: the result itself is read, or nothing, and never an error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protoxai.comparison import Result
from protoxai.comparison.result import _digest, read_result, write_result

ORIGINAL = Result(
    "red",
    "cost",
    {"passes": False, "memory": None},
    (4, 9),
    ((1.0, math.nan), (0.25, 8.0)),
    0.5,
    "",
    complete=True,
    reasons=("memory is not measured", ""),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from([*ORIGINAL.to_config(), "digest"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / "result.json"
    write_result(path, ORIGINAL)
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
    result = read_result(path)
    assert result is None or result.to_config() == ORIGINAL.to_config()


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_content_is_the_original_or_nothing(stored, data) -> None:
    reads_the_original_or_nothing(stored, data)


@pytest.mark.nightly
@settings(max_examples=20_000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_content_is_the_original_or_nothing_at_length(stored, data) -> None:
    reads_the_original_or_nothing(stored, data)


@settings(max_examples=100)
@given(key=KEYS, value=JSON)
def test_intact_content_of_another_version_is_never_an_error(stored, key, value) -> None:
    path, _ = stored
    config = {**ORIGINAL.to_config(), key: value}
    config["digest"] = _digest(path, config)
    path.write_text(json.dumps(config))
    read_result(path)


def test_it_is_read_as_it_was_written(stored) -> None:
    path, content = stored
    path.write_bytes(content)
    result = read_result(path)
    assert result is not None
    assert result.to_config() == ORIGINAL.to_config()
    assert math.isnan(result.rows[0][1])
    assert result.values("memory") == {9: 8.0}
    # Under the name of another result, the values would count as those of that one.
    other = path.with_name("other.json")
    other.write_bytes(content)
    assert read_result(other) is None
    assert read_result(path.parent) is None
    assert read_result(path.parent / "none") is None
