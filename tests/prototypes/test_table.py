import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai import PrototypeTable
from tests.cases import UNEVEN, rearranged, set_of, tables


def test_regular_table_is_scale_major() -> None:
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)
    assert table.class_index.tolist() == [0, 0, 1, 1] * 3
    assert table.scale_index.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (table.num_classes, table.num_scales, len(table)) == (2, 3, 12)


@settings(max_examples=50)
@given(tables())
def test_counts_classes_and_members_agree_with_counting(table: PrototypeTable) -> None:
    classes, scales = range(table.num_classes), range(table.num_scales)
    assert table.counts.tolist() == [[len(set_of(table, c, s)) for s in scales] for c in classes]
    assert table.classes.tolist() == [c for c in classes if set_of(table, c)]

    def rows(by: str) -> list[list[int]]:
        members = table.members(by)
        return [index[mask].tolist() for index, mask in zip(*members, strict=True)]

    assert rows("class") == [set_of(table, c) for c in classes]
    assert rows("class_and_scale") == [set_of(table, c, s) for c in classes for s in scales]
    assert rows("scale") == [(table.scale_index == s).nonzero()[:, 0].tolist() for s in scales]


def test_indices_may_be_lists_arrays_or_tensors() -> None:
    same = [
        PrototypeTable(kind([0, 1]), kind([1, 0]), 2, 2)
        for kind in (list, tuple, np.array, torch.tensor, lambda x: torch.tensor(x).int())
    ]
    assert all(table == same[0] for table in same)
    assert all(table.class_index.dtype == torch.int64 for table in same)


def test_table_is_a_value() -> None:
    one, other = (PrototypeTable.regular(2, 2, 2) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "found"}[other] == "found"
    places = one.class_index, one.scale_index
    assert one != PrototypeTable(*places, num_classes=3, num_scales=2)
    assert one != PrototypeTable(*places, num_classes=2, num_scales=3)
    assert one != PrototypeTable(places[0].flip(0), places[1], 2, 2)
    assert one != PrototypeTable(places[0], places[1].flip(0), 2, 2)
    assert one != "a table"


def test_nothing_returned_or_given_can_change_a_table() -> None:
    given_classes, given_scales = torch.tensor([0, 1]), torch.tensor([0, 1])
    table = PrototypeTable(given_classes, given_scales, 2, 2)
    untouched = PrototypeTable([0, 1], [0, 1], 2, 2)
    given_classes.zero_()
    given_scales.zero_()
    for tensor in (table.class_index, table.scale_index, table.counts, table.classes):
        tensor.zero_()
    assert table == untouched
    assert table.counts.tolist() == [[1, 0], [0, 1]]
    assert table.classes.tolist() == [0, 1]


@pytest.mark.parametrize("by", ["class", "scale", "class_and_scale"])
def test_members_returned_cannot_change_a_table(by: str) -> None:
    table = PrototypeTable([0, 1], [0, 1], 2, 2)
    before = copy.deepcopy(table.members(by))
    table.members(by).indices.zero_()
    table.members(by).mask.zero_()
    assert torch.equal(table.members(by).indices, before.indices)
    assert torch.equal(table.members(by).mask, before.mask)


@pytest.mark.parametrize("name", ["num_classes", "num_scales", "class_index", "scale_index"])
def test_attributes_of_a_table_cannot_be_set(name: str) -> None:
    table = PrototypeTable([0], [0], 1, 1)
    with pytest.raises(AttributeError):
        setattr(table, name, 7)


def test_table_survives_pickle_copy_and_configuration() -> None:
    UNEVEN.members("class")
    for twin in (
        pickle.loads(pickle.dumps(UNEVEN)),  # noqa: S301
        copy.deepcopy(UNEVEN),
        copy.copy(UNEVEN),
        PrototypeTable(**UNEVEN.to_config()),
    ):
        assert twin == UNEVEN
        assert torch.equal(twin.members("class").indices, UNEVEN.members("class").indices)


def test_moving_a_table_is_cached(device: torch.device) -> None:
    moved = UNEVEN.to(device)
    assert moved is UNEVEN.to(device)
    assert moved == UNEVEN
    assert hash(moved) == hash(UNEVEN)
    assert moved.to("cpu") == UNEVEN
    for tensor in (
        moved.class_index,
        moved.counts,
        moved.classes,
        moved.members("class_and_scale").mask,
    ):
        assert tensor.device.type == device.type


@settings(max_examples=30)
@given(st.data())
def test_keep_selects_and_keeps_the_order(data: st.DataObject) -> None:
    table = data.draw(tables())
    indices = data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1))
    kept = table.keep(data.draw(st.permutations(sorted(indices))))
    assert kept == rearranged(table, torch.tensor(sorted(indices)))


def test_keep_may_empty_a_class_and_a_scale() -> None:
    kept = PrototypeTable.regular(num_classes=2, num_scales=2, per_scale=1).keep([0])
    assert kept.counts.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 8], ValueError, r"from 0 to 8, expected 0 to 7"),
        ([-1], ValueError, r"from -1 to -1, expected 0 to 7"),
        ([1, 1], ValueError, r"twice"),
        ([], ValueError, r"\(0,\), expected a list of at least one"),
        ([0.5], TypeError, r"torch\.float32, expected whole numbers"),
        ([True] * 8, TypeError, r"torch\.bool, expected whole numbers"),
    ],
)
def test_keep_of_wrong_indices(indices: list[int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        UNEVEN.keep(indices)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 3], [0, 0], 3, 1), ValueError, r"class_index.*from 0 to 3, expected 0 to 2"),
        (([0, -1], [0, 0], 3, 1), ValueError, r"class_index.*from -1 to 0, expected 0 to 2"),
        (([0, 1], [0, 1], 3, 1), ValueError, r"scale_index.*from 0 to 1, expected 0 to 0"),
        (([0, 1], [0], 3, 1), ValueError, r"class_index has 2 entries and scale_index 1"),
        (([], [], 3, 1), ValueError, r"class_index has shape \(0,\).*at least one"),
        (([[0]], [[0]], 3, 1), ValueError, r"class_index has shape \(1, 1\)"),
        (([0.0], [0], 3, 1), TypeError, r"class_index holds torch\.float32.*whole numbers"),
        (([0], [False], 3, 1), TypeError, r"scale_index holds torch\.bool.*whole numbers"),
        (([0], [0], 0, 1), ValueError, r"num_classes is 0.*from 1 to"),
        (([0], [0], 1, 1.5), ValueError, r"num_scales is 1\.5.*whole number"),
        (([0], [0], True, 1), TypeError, r"num_classes is True.*whole number"),
    ],
)
def test_indices_that_make_no_table(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PrototypeTable(*arguments)


def test_regular_table_without_prototypes() -> None:
    with pytest.raises(ValueError, match=r"per_scale is 0.*from 1 to"):
        PrototypeTable.regular(2, 2, 0)
