"""Prototypes as plain data, put together on access."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from protoxai import PrototypeTable, SparseGroupHead, project_prototypes
from protoxai.prototypes import Patch, Prototype
from tests.toys import colour_model, small_model

# Classes and scales in no order; class 1 has no prototype.
TABLE = PrototypeTable([2, 0, 2, 0], [1, 0, 0, 2], num_classes=3, num_scales=3)


def test_before_the_projection() -> None:
    prototypes = colour_model(TABLE, class_names=["sky", "road", "tree"]).prototypes
    assert len(prototypes) == 4
    assert [p.index for p in prototypes] == [0, 1, 2, 3]
    assert [p.class_index for p in prototypes] == [2, 0, 2, 0]
    assert [p.class_name for p in prototypes] == ["tree", "sky", "tree", "sky"]
    assert [p.scale for p in prototypes] == [1, 0, 0, 2]
    for p in prototypes:
        assert (p.group_weights, p.first_group, p.groups, p.active) == ({}, None, {}, True)
        assert p.provenance is p.patch is p.box is p.cell is p.activation is None


def test_classes_without_names() -> None:
    assert colour_model(TABLE).prototypes[0].class_name == "class 2"


def test_a_sequence() -> None:
    prototypes = colour_model(TABLE).prototypes
    assert prototypes[-1].index == 3
    assert prototypes[torch.tensor(2)].index == 2
    assert [p.index for p in prototypes[1:3]] == [1, 2]
    assert [p.index for p in reversed(prototypes)] == [3, 2, 1, 0]
    with pytest.raises(IndexError):
        prototypes[4]
    with pytest.raises(TypeError):
        prototypes["a"]  # type: ignore[call-overload]
    assert repr(prototypes) == "Prototypes(4 prototypes, 0 with a picture)"


def test_group_weights_are_those_of_the_head() -> None:
    model = colour_model(TABLE).group(2)
    assert isinstance(model.head, SparseGroupHead)
    dense = torch.tensor(
        [[0, 0.25, 0, 0.75], [0, 0, 0, 1], [1, 0, 0, 0], [0.5, 0, 0, 0]], dtype=torch.float32
    )
    model.head.set_group_weights(dense)
    weights = [p.group_weights for p in model.prototypes]
    assert weights == [{2: 1, 3: 0.5}, {0: 0.25}, {}, {0: 0.75, 1: 1}]
    assert [p.first_group for p in model.prototypes] == [2, 0, 2, 0]
    # Within its class a group is counted from 1.
    assert [p.groups for p in model.prototypes] == [{1: 1, 2: 0.5}, {1: 0.25}, {}, {1: 0.75, 2: 1}]
    assert [p.active for p in model.prototypes] == [True, True, False, True]
    assert model.head.group_class.tolist() == [0, 0, 2, 2]


def test_they_are_a_snapshot() -> None:
    model = small_model().group(2)
    before, prototypes = [p.group_weights for p in model.prototypes], model.prototypes
    model.head.threshold_(0.5)
    assert [p.group_weights for p in prototypes] == before
    assert [p.group_weights for p in model.prototypes] != before


def test_after_the_projection() -> None:
    model = colour_model(TABLE, stride=4)
    images, labels = torch.randn(2, 3, 40, 60), torch.randint(0, 2, (2, 40, 60)) * 2
    project_prototypes(model, [(images, labels)])
    for number, p in enumerate(model.prototypes):
        assert isinstance(p, Prototype)
        entry, patch = model.provenance[number], model.patches[number]
        assert isinstance(patch, Patch)
        assert p.provenance == entry
        assert_array_equal(p.patch, patch.picture())
        assert p.activation.shape == p.patch.shape[:2]
        # Images are small, so pictures have the size of their windows.
        top, left = patch.window[:2]
        for shown, box in ((p.box, entry.active_region), (p.cell, entry.patch)):
            assert shown == tuple(np.subtract(box, (top, left, top, left)))
        # The feature pixel is 4 pixels wide, its box 5 where there is a next one.
        row, col = p.cell[:2]
        assert (p.activation[row : row + 4, col : col + 4] == 1).all()


def test_damaged_pictures_name_their_prototype() -> None:
    model = colour_model(TABLE)
    project_prototypes(model, [(torch.randn(1, 3, 8, 9), torch.randint(0, 3, (1, 8, 9)))])
    broken = model.patches[1]
    content = broken.content[:34]
    model.patches = (None, Patch(content, broken.window, broken.activation), None, None)
    prototypes = model.prototypes
    assert prototypes[0].patch is None
    assert prototypes[0].provenance is not None
    assert repr(prototypes) == "Prototypes(4 prototypes, 1 with a picture)"
    with pytest.raises(ValueError, match="prototype 1: the picture of the patch is damaged"):
        prototypes[1]
