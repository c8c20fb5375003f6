"""Models without the prototypes that no group uses."""

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai import PrototypeTable, ScaleProtoSeg, SparseGroupHead, project_prototypes
from protoxai.losses import ScaleProtoSegLoss
from tests.cases import UNEVEN, group_heads, maps_of, set_of, tables
from tests.toys import (
    Trunk,
    assert_same_output,
    batchnorm_state,
    modes,
    random_batch,
    small_model,
    trainable,
)

SAME = 1e-6


def sparse(table: PrototypeTable = UNEVEN, threshold: float = 0.3) -> ScaleProtoSeg:
    """A model of stage 2 with any last layer, embeddings all over (0, 1) and thresholded groups."""
    rates = tuple(range(1, table.num_scales + 1))
    model = small_model(table.num_classes, table=table, atrous_rates=rates, init_gain=1.0).group(2)
    torch.nn.init.normal_(model.head.weight)
    if threshold > 1:
        model.head.set_group_weights(torch.zeros_like(model.head.group_weights()))
    else:
        model.head.threshold_(threshold)
    return model.eval()


def used(model: ScaleProtoSeg) -> list[int]:
    """The prototypes that weigh something, and the first of a class of which none does."""
    result = (model.head.group_weights() > 0).any(0).nonzero().flatten().tolist()
    for class_index in range(model.num_classes):
        own = set_of(model.table, class_index)
        if own and not set(own) & set(result):
            result.append(own[0])
    return sorted(result)


# --- the same logits


@settings(max_examples=30)
@given(st.data())
def test_logits_stay_the_same(data: st.DataObject) -> None:
    model = sparse(data.draw(tables()), data.draw(st.sampled_from([0, 0.3, 0.6, 2]))).double()
    small = model.compact()
    images = data.draw(maps_of(2, 3, 9, 13))
    expected = model(images)
    result = small(images)
    torch.testing.assert_close(result.logits, expected.logits, rtol=SAME, atol=SAME)
    torch.testing.assert_close(small.logits(images), expected.logits.detach(), rtol=SAME, atol=SAME)
    torch.testing.assert_close(result.group_scores, expected.group_scores, rtol=SAME, atol=SAME)
    kept = used(model)
    assert small.table == model.table.keep(kept)
    torch.testing.assert_close(result.distances, expected.distances[:, kept], rtol=0, atol=1e-12)


def test_logits_stay_the_same_in_float32(device: torch.device) -> None:
    model = sparse(PrototypeTable.regular(20, 3, 4)).to(device)
    small = model.compact()
    assert len(small.table) < 0.8 * len(model.table)
    images = torch.randn(2, 3, 32, 40, device=device)
    for expected, result in (
        (model(images).logits, small(images).logits),
        (model.logits(images), small.logits(images)),
    ):
        assert result.device.type == device.type
        assert ((result - expected).abs().max() / expected.abs().max()).item() < SAME
    assert torch.equal(small.predict(images), model.predict(images))


def test_a_class_whose_groups_use_nothing_keeps_its_constant() -> None:
    model = sparse()
    weights = model.head.group_weights().detach().clone()
    weights[model.head.group_class == 0] = 0
    model.head.set_group_weights(weights)
    small = model.compact()
    assert set_of(small.table, 0) == [small.table.class_index.tolist().index(0)]
    assert (small.head.group_weights(0) == 0).all()
    images = torch.randn(1, 3, 9, 13)
    result = small(images)
    assert (result.group_scores[:, small.head.group_class == 0] == 1).all()
    torch.testing.assert_close(result.logits, model(images).logits, rtol=SAME, atol=SAME)


def test_groups_that_use_nothing_at_all() -> None:
    model = sparse(threshold=2)
    small = model.compact()
    assert small.table.class_index.tolist() == [2, 0, 3]
    expected = small.head.weight.sum(1)[:, None, None].expand(-1, 3, 4)
    torch.testing.assert_close(small(torch.randn(1, 3, 9, 13)).logits[0], expected)


def test_classes_without_prototypes_still_have_none() -> None:
    model = sparse()
    small = model.compact()
    assert small.table.num_classes == small.num_classes == 5
    assert small.table.num_scales == 4
    assert small.table.classes.tolist() == model.table.classes.tolist() == [0, 2, 3]
    assert torch.equal(small.head.group_class, model.head.group_class)
    assert small.head.group_weights(1).shape == (0, 0)


# --- what is kept


def test_groups_weigh_the_prototypes_they_use_as_before() -> None:
    model = sparse(PrototypeTable.regular(6, 2, 4))
    kept = used(model)
    small = model.compact()
    assert 6 < len(small.table) == len(kept) < len(model.table)
    assert torch.equal(small.head.group_weights(), model.head.group_weights()[:, kept])
    assert torch.equal(small.head.weight, model.head.weight)
    assert torch.equal(small.prototype_layer.prototypes, model.prototype_layer.prototypes[kept])
    assert small.table == small.head.table == small.prototype_layer.table == model.table.keep(kept)
    most = max(len(set_of(small.table, c)) for c in range(6))
    assert small.head.group_parameter.shape == (6, 2, most)
    assert most < 8


def test_provenance_is_kept_in_order() -> None:
    model = small_model()
    project_prototypes(model, [random_batch()])
    model.group(1).head.threshold_(0.3)
    small, kept = model.compact(), used(model)
    assert 3 < len(kept) < len(model.table)
    assert small.provenance == tuple(model.provenance[i] for i in kept)
    assert len(model.provenance) == len(model.table)


def test_without_provenance() -> None:
    assert sparse().compact().provenance is None


def test_original_stays_as_it_is() -> None:
    model = sparse()
    before, structure = copy.deepcopy(model.state_dict()), model.structure()
    images = torch.randn(1, 3, 9, 13)
    expected = model(images)
    small = model.compact()
    for parameter in small.parameters():
        parameter.data.fill_(7)
    assert model.structure() == structure
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert_same_output(model(images), expected)


@settings(max_examples=20)
@given(group_heads())
def test_compact_models_cannot_be_compacted_further(head: SparseGroupHead) -> None:
    model = sparse(head.table).double()
    model.head = head
    once = model.compact()
    twice = once.compact()
    assert twice.table == once.table
    assert twice.structure() == once.structure()
    assert all(
        torch.equal(value, once.state_dict()[name]) for name, value in twice.state_dict().items()
    )


def test_groups_that_use_everything_keep_everything() -> None:
    model = sparse(threshold=0)
    weights = torch.where(model.head.group_class[:, None] == UNEVEN.class_index, 0.25, 0)
    model.head.set_group_weights(weights)
    small = model.compact()
    assert small.table == model.table
    assert torch.equal(small.head.group_weights(), weights)


# --- what can be done with it


def test_folder_gives_the_same_model(tmp_path: Path) -> None:
    model = sparse(PrototypeTable.regular(4, 2, 4))
    small = model.compact()
    small.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    assert twin.table == small.table != model.table
    assert twin.structure() == small.structure()
    images = torch.randn(2, 3, 9, 13)
    assert_same_output(twin(images), small(images))


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_what_is_trained_stay_the_same(training: bool) -> None:
    model = sparse().train(training)
    small = model.compact()
    assert modes(small) == modes(model)
    assert trainable(small) == trainable(model) == {"head.weight", "head.group_parameter"}
    model.head.group_parameter.requires_grad_(False)
    assert trainable(model.compact()) == {"head.weight"}


def test_it_can_be_trained_on() -> None:
    small = sparse(PrototypeTable.regular(3, 2, 4)).compact().train()
    statistics = batchnorm_state(small)
    criterion = ScaleProtoSegLoss(group_entropy=0.1, scale_max=0.1, off_class_l1=1e-3)
    optimizer = torch.optim.SGD([p for p in small.parameters() if p.requires_grad], 0.05)
    images, labels = random_batch()
    losses = []
    for _ in range(5):
        loss = criterion(small(images), labels, small.head)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        small.head.project_to_simplex_()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    torch.testing.assert_close(
        small.head.group_weights().sum(1), torch.ones(len(small.head.group_class))
    )
    for one, other in zip(statistics, batchnorm_state(small), strict=True):
        assert torch.equal(one, other)


def test_stage_1_has_nothing_to_drop() -> None:
    with pytest.raises(ValueError, match=r"stage 1.*every prototype.*model\.group\(\)"):
        small_model().compact()


# --- the head


@settings(max_examples=30)
@given(group_heads(), st.data())
def test_a_head_keeps_the_weights_of_any_prototypes(
    head: SparseGroupHead, data: st.DataObject
) -> None:
    kept = data.draw(st.sets(st.integers(0, len(head.table) - 1)))
    kept |= {head.table.class_index.tolist().index(c) for c in head.table.classes.tolist()}
    order = data.draw(st.permutations(sorted(kept)))
    before, table = head.group_weights().detach(), head.table
    activations = data.draw(maps_of(2, len(table), 2, 2)).abs()
    without = torch.zeros_like(activations)
    without[:, sorted(kept)] = activations[:, sorted(kept)]
    expected = head(without)
    head.keep(order)
    assert head.table == table.keep(order)
    assert torch.equal(head.group_weights(), before[:, sorted(kept)])
    torch.testing.assert_close(head(activations[:, sorted(kept)]), expected)


def test_a_head_keeps_a_prototype_of_every_class_that_has_groups() -> None:
    head = SparseGroupHead(UNEVEN)
    before = copy.deepcopy(head.state_dict())
    with pytest.raises(ValueError, match=r"classes \[2, 3\] would be left without"):
        head.keep([1, 2])
    assert head.table == UNEVEN
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_prototypes_in_use() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    weights = torch.zeros(6, 8)
    weights[0, 4], weights[1, 2], weights[4, 3] = 0.5, 1, 0.1
    head.set_group_weights(weights)
    # Nothing of class 2 is in use: its first stays.
    assert head.used_prototypes().tolist() == [0, 2, 3, 4]
