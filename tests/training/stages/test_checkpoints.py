"""Checkpoints: the newest intact one is read, whatever lies in the folder."""

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protoxai.training import RunError
from protoxai.training.stages.checkpoints import PARTS, Checkpoints

SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def state(step: int) -> dict[str, Any]:
    return {
        "recipe": {"name": "a"},
        "stage": 0,
        "part": "training",
        "structure": None,
        "model": {"weight": torch.full((2,), float(step))},
        "provenance": None,
        "rows": [],
        "training": {"step": step},
    }


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save(0, step, state(step))
    return checkpoints


def write(path: Path, content: object) -> None:
    """Write a checkpoint whose checksum is right."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".sha256").write_text(hashlib.sha256(buffer.getvalue()).hexdigest())


def newest_step(checkpoints: Checkpoints) -> int | None:
    found = checkpoints.newest()
    if found is None:
        return None
    assert found.keys() == state(0).keys()
    step: int = found["training"]["step"]
    return step


def test_the_newest_is_read_as_it_was_saved(checkpoints: Checkpoints) -> None:
    assert newest_step(checkpoints) == 2
    assert len(checkpoints.paths()) == 2


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("value", [None, 3.5])
def test_a_part_that_is_missing_or_of_another_type(
    key: str, value: object, checkpoints: Checkpoints
) -> None:
    content = state(2)
    if value is None:
        del content[key]
    else:
        content[key] = value
    write(max(checkpoints.paths()), content)
    with pytest.warns(UserWarning, match=rf"step00000002.pt is damaged .{key} is"):
        assert newest_step(checkpoints) == 1


@pytest.mark.parametrize("content", [[1, 2], torch.nn.Linear(1, 1)])
def test_anything_else_is_no_checkpoint(content: object, checkpoints: Checkpoints) -> None:
    write(max(checkpoints.paths()), content)
    with pytest.warns(UserWarning, match="is damaged .it holds ") as caught:
        assert newest_step(checkpoints) == 1
    assert "weights_only" not in str(caught[0].message)


def test_those_of_0_1_0_had_no_format(checkpoints: Checkpoints) -> None:
    write(max(checkpoints.paths()), state(2))
    assert newest_step(checkpoints) == 2


def test_those_of_a_later_version_stop_the_run(checkpoints: Checkpoints) -> None:
    write(max(checkpoints.paths()), {"format": 3, "other": 1})
    with pytest.raises(RunError, match=r"step00000002\.pt is of a later version .*update protoxai"):
        checkpoints.newest()


def check_damaged(data: st.DataObject, checkpoints: Checkpoints) -> None:
    """A damaged checkpoint is passed over for the one before; nothing else can happen."""
    path = max(checkpoints.paths())
    change = data.draw(st.sampled_from(["content", "checksum", "value"]))
    if change == "value":
        content = {"format": 2, **state(2)}
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(PLAIN)
        write(path, content)
    else:
        file = path if change == "content" else path.with_suffix(".sha256")
        before = file.read_bytes()
        start = data.draw(st.integers(0, len(before) - 1))
        cut = before[start + data.draw(st.integers(0, 40)) :]
        file.write_bytes(before[:start] + data.draw(st.binary(max_size=20)) + cut)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if change == "value" and content.get("format") in range(3, 10):
            with pytest.raises(RunError, match="later version"):
                checkpoints.newest()
            return
        found = checkpoints.newest()
    assert found is not None
    if caught:
        assert str(path) in str(caught[0].message)
        assert found["training"] == {"step": 1}
    elif change != "value":
        assert found["training"] == {"step": 2}


@settings(max_examples=80, **SETTINGS)
@given(data=st.data())
def test_damaged_checkpoints(data: st.DataObject, tmp_path: Path) -> None:
    check_damaged(data, fresh(tmp_path))


@pytest.mark.nightly
@settings(max_examples=3000, **SETTINGS)
@given(data=st.data())
def test_many_damaged_checkpoints(data: st.DataObject, tmp_path: Path) -> None:
    check_damaged(data, fresh(tmp_path))


def fresh(folder: Path) -> Checkpoints:
    checkpoints = Checkpoints(folder / "checkpoints")
    for step in (1, 2):
        write_plain(checkpoints, step)
    return checkpoints


def write_plain(checkpoints: Checkpoints, step: int) -> None:
    checkpoints.save(0, step, state(step))
