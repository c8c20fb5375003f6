"""What a projection keeps of the prototypes, and what becomes of it when they change."""

import copy
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from protoxai import ScaleProtoSeg, explain, project_prototypes
from protoxai.prototypes import Projection
from protoxai.prototypes.provenance import Provenance
from tests.toys import random_batch, small_model

CHANGED = r"{} of {} prototypes have changed since they were projected"


@pytest.fixture
def model() -> ScaleProtoSeg:
    torch.manual_seed(0)
    built = small_model()
    project_prototypes(built, [random_batch()])
    return built


def assert_nothing_is_known(model: ScaleProtoSeg, moved: int) -> None:
    message = CHANGED.format(moved, len(model.table))
    for name in ("projection", "provenance", "patches", "class_distances"):
        with pytest.warns(UserWarning, match=message):
            assert getattr(model, name) is None
    with pytest.warns(UserWarning, match=message):
        assert {(p.provenance, p.patch) for p in model.prototypes} == {(None, None)}


def test_the_prototypes_as_they_were_are_kept(model: ScaleProtoSeg) -> None:
    kept = model.projection
    assert torch.equal(kept.vectors, model.prototype_layer.prototypes.detach())
    assert kept.vectors.data_ptr() != model.prototype_layer.prototypes.data_ptr()
    assert (kept.provenance, kept.patches) == (model.provenance, model.patches)
    assert not kept.moved(model.prototype_layer.prototypes).any()


def test_training_the_prototypes_makes_their_patches_unknown(model: ScaleProtoSeg) -> None:
    layer = model.prototype_layer
    optimizer = torch.optim.SGD([layer.prototypes], lr=0.1)
    model(random_batch()[0]).logits.square().mean().backward()
    optimizer.step()
    assert_nothing_is_known(model, int(model._projection.moved(layer.prototypes).sum()))
    project_prototypes(model, [random_batch()])
    assert len(model.provenance) == len(model.table)


def test_one_prototype_that_was_set_is_enough_and_undoing_it_restores(
    model: ScaleProtoSeg,
) -> None:
    vector = model.prototype_layer.prototypes.data[5]
    before = vector.clone()
    vector += 0.02 * before.norm()
    assert_nothing_is_known(model, 1)
    vector.copy_(before * 1.001)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.provenance is not None


def test_other_weights_make_patches_unknown(model: ScaleProtoSeg) -> None:
    other = copy.deepcopy(model)
    other.prototype_layer.prototypes.data.mul_(0.5)
    model.load_state_dict(other.state_dict())
    assert_nothing_is_known(model, len(model.table))


def test_not_a_number_counts_as_a_change(model: ScaleProtoSeg) -> None:
    model.prototype_layer.prototypes.data[0, 0] = torch.nan
    assert_nothing_is_known(model, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rounding_to_another_type_is_no_change(dtype: torch.dtype, model: ScaleProtoSeg) -> None:
    model.to(dtype)
    assert model.provenance is not None
    model.float()
    assert model.provenance is not None


def test_the_meta_device_tells_nothing(model: ScaleProtoSeg) -> None:
    provenance = model.provenance
    assert model.to("meta").provenance == provenance


def test_a_changed_model_is_explained_and_saved_without_patches(
    model: ScaleProtoSeg, tmp_path: Path
) -> None:
    model.prototype_layer.prototypes.data += 0.1
    message = CHANGED.format(len(model.table), len(model.table))
    with pytest.warns(UserWarning, match=message):
        explanation = explain(model, random_batch()[0][0])
    assert explanation.provenance is explanation.familiarity is None
    with pytest.warns(UserWarning, match=message):
        model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = ScaleProtoSeg.from_pretrained(tmp_path, backbone=model.backbone)
        assert again.projection is None


def test_a_smaller_model_keeps_what_is_known_of_its_own(model: ScaleProtoSeg) -> None:
    kept = model.projection.keep(torch.tensor([4, 1]))
    assert kept.provenance == (model.provenance[4], model.provenance[1])
    assert kept.patches == (model.patches[4], model.patches[1])
    assert torch.equal(kept.vectors, model.prototype_layer.prototypes[[4, 1]])
    assert model.without([0]).provenance == model.provenance[1:]


def test_parts_of_other_prototypes_are_refused(model: ScaleProtoSeg) -> None:
    kept = model.projection
    with pytest.raises(ValueError, match=r"provenance has 1 entries, expected one per prototype"):
        replace(kept, provenance=(Provenance(projected=False),))
    with pytest.raises(TypeError, match=r"provenance is None .*expected a Provenance"):
        replace(kept, provenance=cast("Any", (None,) * len(kept.vectors)))
    fewer = kept.keep(torch.tensor([0]))
    expected = f"projection is of 1 prototypes, expected one of the model's {len(model.table)}"
    with pytest.raises(ValueError, match=re.escape(expected)):
        model.projection = fewer
    assert model.projection is kept


def test_pictures_can_be_left_out_alone(model: ScaleProtoSeg) -> None:
    provenance, pictures = model.provenance, model.patches
    model.patches = None
    assert model.patches is None
    assert model.provenance == provenance
    model.projection = None
    model.patches = None
    with pytest.raises(ValueError, match=r"not projected, so they have no patches: call project"):
        model.patches = pictures


def test_prototypes_of_another_shape_have_all_changed(model: ScaleProtoSeg) -> None:
    layer = model.prototype_layer.prototypes
    assert model.projection.moved(layer[:, :2]).tolist() == [True] * len(layer)
    assert isinstance(model.projection, Projection)
