"""Familiarity against a loop, and what it says about pixels near and far."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai import PrototypeTable, project_prototypes
from protoxai.model.familiarity import familiarity
from tests.cases import tables
from tests.toys import random_batch, small_model


def by_hand(distances, prediction, known, table):
    height, width = prediction.shape
    h, w = distances.shape[1:]
    rows = []
    for i in range(height):
        for j in range(width):
            own = [p for p in range(len(table)) if table.class_index[p] == prediction[i, j]]
            r, s = int((i + 0.5) * h / height), int((j + 0.5) * w / width)
            columns = range(known.shape[1])
            nearest = [
                min(float(known[p, n]) for p in own)
                for n in columns
                if own and not any(math.isnan(float(known[p, n])) for p in own)
            ]
            if not nearest:
                rows.append(0.0)
                continue
            distance = min(float(distances[p, r, s]) for p in own)
            rows.append(sum(value >= distance for value in nearest) / len(nearest))
    return torch.tensor(rows).view(height, width)


@given(tables(), st.integers(1, 7), st.integers(0, 2**31))
def test_familiarity_agrees_with_a_loop(table: PrototypeTable, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    # Few values, so that distances are equal to known ones.
    distances = torch.randint(0, 6, (len(table), 2, 3)).float()
    known = torch.randint(0, 6, (len(table), count)).float()
    for c in range(table.num_classes):
        fewer = int(torch.randint(0, count + 1, (1,)))
        known[table.class_index == c, fewer:] = torch.nan
    prediction = torch.randint(0, table.num_classes, (5, 4))
    found = familiarity(distances, prediction, known, table)
    torch.testing.assert_close(found, by_hand(distances, prediction, known, table))
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


@given(st.integers(0, 2**31), st.floats(0, 2))
def test_a_farther_pixel_is_never_more_familiar(seed: int, more: float) -> None:
    torch.manual_seed(seed)
    table = PrototypeTable([0, 0, 1], [0, 1, 0], num_classes=2, num_scales=2)
    distances, known = torch.rand(3, 4, 4), torch.rand(3, 9)
    prediction = torch.randint(0, 2, (4, 4))
    near = familiarity(distances, prediction, known, table)
    far = familiarity(distances + more, prediction, known, table)
    assert bool((far <= near).all())


def test_the_nearest_and_farther_than_any() -> None:
    table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
    known = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    distances = torch.tensor([[[0.0, 1.0, 1.5, 4.0, 4.1]]])
    found = familiarity(distances, torch.zeros(1, 5, dtype=torch.int64), known, table)
    assert found.tolist() == [[1.0, 1.0, 0.75, 0.25, 0.0]]


def test_training_pixels_themselves_are_spread_evenly() -> None:
    table = PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1)
    known = torch.rand(2, 64, generator=torch.Generator().manual_seed(0))
    found = familiarity(known[:, None], torch.zeros(1, 64, dtype=torch.int64), known, table)
    expected = torch.arange(1, 65) / 64
    torch.testing.assert_close(found.flatten().sort().values, expected)


@pytest.mark.parametrize("missing", ["prototype", "pixel"])
def test_nothing_known_of_a_class_is_not_familiar(missing: str) -> None:
    classes = [0, 0] if missing == "prototype" else [0, 1]
    table = PrototypeTable(classes, [0, 0], num_classes=2, num_scales=1)
    known = torch.tensor([[1.0, 2.0], [3.0, 4.0] if missing == "prototype" else [torch.nan] * 2])
    prediction = torch.tensor([[0, 1]])
    found = familiarity(torch.zeros(2, 1, 2), prediction, known, table)
    assert found.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("grouped", [False, True])
def test_unfamiliar_pixels_are_left_out(grouped: bool) -> None:
    torch.manual_seed(0)
    model, (images, labels) = small_model(3).eval(), random_batch()
    project_prototypes(model, [{"image": images, "labels": labels}])
    if grouped:
        model.group(2)
    images = images * 0.5
    expected = model.predict(images)
    output = model(images)
    known = torch.stack(
        [
            familiarity(distances, prediction, model.class_distances, model.table)
            for distances, prediction in zip(output.distances, expected, strict=True)
        ]
    )
    assert 0 < float((known < 0.3).float().mean()) < 1
    found = model.predict(images, abstain_below=0.3)
    assert torch.equal(found, torch.where(known < 0.3, 255, expected))
    other = model.predict(images, abstain_below=0.3, ignore_index=-1)
    assert torch.equal(other, torch.where(known < 0.3, -1, expected))
    assert torch.equal(model.predict(images, abstain_below=0), expected)
    # A pixel that is exactly as familiar keeps its label.
    share = float(known.median())
    at_share = model.predict(images, abstain_below=share)
    assert torch.equal(at_share, torch.where(known < share, 255, expected))
    more = model.predict(images, abstain_below=0.9) == 255
    assert bool((more | (found != 255)).all())
    with pytest.raises(ValueError, match=r"ignore_index 2 is one of the 3 classes"):
        model.predict(images, abstain_below=0.3, ignore_index=2)
    with pytest.raises(ValueError, match="abstain_below is"):
        model.predict(images, abstain_below=1.5)


def test_a_model_without_known_distances_cannot_abstain() -> None:
    model, (images, _) = small_model(3).eval(), random_batch()
    with pytest.raises(ValueError, match=r"abstain_below.*project it with project_prototypes"):
        model.predict(images, abstain_below=0.3)
