from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from protoxai import (
    LinearSegmenter,
    PrototypeTable,
    ScaleProtoSeg,
    SparseGroupHead,
    project_prototypes,
)
from tests.cases import UNEVEN
from tests.toys import (
    SMALL,
    Trunk,
    assert_same_output,
    batchnorm_state,
    random_batch,
    small_model,
    trainable,
)

SIZES = [(32, 40), (29, 37), (5, 3)]
MAPS = ("logits", "embedding", "distances", "activations")


# --- forward


@pytest.mark.parametrize("size", SIZES)
def test_shapes(size: tuple[int, int], device: torch.device) -> None:
    model = small_model().to(device)
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    out = model(torch.randn(2, 3, *size, device=device))
    assert out.logits.shape == (2, 3, *grid)
    assert out.embedding.shape == (2, 2, 4, *grid)
    assert out.distances.shape == out.activations.shape == (2, 18, *grid)
    assert out.group_scores is None
    assert out.auxiliary == ()
    out = model.group(num_groups=2)(torch.randn(2, 3, *size, device=device))
    assert out.group_scores.shape == (2, 6, *grid)
    assert out.logits.shape == (2, 3, *grid)


def test_each_step_follows_from_the_last() -> None:
    model = small_model().double().eval()
    out = model(torch.randn(2, 3, 12, 16, dtype=torch.float64))
    assert out.embedding.min() > 0
    assert out.embedding.max() < 1
    for p, scale in enumerate(model.table.scale_index.tolist()):
        difference = out.embedding[:, scale] - model.prototype_layer.prototypes[p][:, None, None]
        torch.testing.assert_close(out.distances[:, p], difference.square().sum(1))
    activations = torch.log((out.distances + 1) / (out.distances + 1e-4))
    torch.testing.assert_close(out.activations, activations)
    logits = torch.einsum("cp,bphw->bchw", model.head.weight, activations)
    torch.testing.assert_close(out.logits, logits)


def test_stage_2_scores_and_logits() -> None:
    model = small_model().double().group(2).eval()
    images = torch.randn(2, 3, 12, 16, dtype=torch.float64)
    out = model(images)
    weights = model.head.group_weights().double()
    scores = torch.einsum("np,bphw->bnhw", weights, out.activations).exp()
    torch.testing.assert_close(out.group_scores, scores)
    logits = torch.einsum("cn,bnhw->bchw", model.head.weight.double(), scores)
    torch.testing.assert_close(out.logits, logits)


def test_deciding_from_the_embedding_is_the_rest_of_the_way() -> None:
    model = small_model().eval()
    for _ in range(2):
        images = torch.randn(1, 3, 12, 16)
        assert_same_output(model.forward_embedding(model.embed(images)), model(images))
        model.group()


def test_released_arrangement_is_the_default() -> None:
    model = ScaleProtoSeg(Trunk(), num_classes=21)
    assert model.table == PrototypeTable.regular(num_classes=21, num_scales=4, per_scale=3)
    assert model.prototype_layer.prototypes.shape == (252, 64)
    assert model.prototype_layer.epsilon == 1e-4
    assert model.head.weight.unique().tolist() == [-0.5, 1.0]
    assert model.input_scales == ()
    assert not model.grouped
    assert model.provenance is None


def test_protoseg_has_one_scale_of_ten_prototypes_a_class() -> None:
    model = ScaleProtoSeg(
        Trunk(), num_classes=3, scales="atrous-sum", prototypes_per_scale=10, prototype_dim=4
    )
    out = model(torch.randn(2, 3, 16, 20))
    assert model.table.counts.tolist() == [[10]] * 3
    assert out.embedding.shape == (2, 1, 4, 4, 5)
    assert out.distances.shape == (2, 30, 4, 5)


def test_options_reach_the_layer_and_the_head() -> None:
    model = small_model(epsilon=1e-2, bounded_prototypes=True, off_class=-0.25)
    assert model.prototype_layer.epsilon == 1e-2
    assert model.prototype_layer.bounded
    assert model.head.weight.unique().tolist() == [-0.25, 1.0]
    assert model.group().head.weight.unique().tolist() == [-0.25, 1.0]


def test_any_table() -> None:
    model = small_model(5, table=UNEVEN, atrous_rates=(1, 2, 3, 4))
    images = torch.randn(2, 3, 12, 16)
    for _ in range(2):
        out = model(images)
        assert out.logits.shape == (2, 5, 3, 4)
        assert out.distances.shape == (2, 8, 3, 4)
        out.logits.square().sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        model.group(2)
    assert out.group_scores.shape == (2, 6, 3, 4)


@pytest.mark.parametrize("grouped", [False, True])
def test_half_precision_ends_with_the_trunk(grouped: bool, device: torch.device) -> None:
    model = small_model().to(device).eval()
    model = model.group() if grouped else model
    images = torch.randn(2, 3, 16, 20, device=device)
    features = []
    model.backbone.register_forward_hook(lambda *given: features.append(given[-1][0]))
    with torch.autocast(device.type, dtype=torch.bfloat16):
        out = model(images)
    assert features[0].dtype == torch.bfloat16
    assert all(getattr(out, name).dtype == torch.float32 for name in MAPS)
    assert not grouped or out.group_scores.dtype == torch.float32
    assert torch.equal(out.logits, model.forward_embedding(out.embedding).logits)
    torch.testing.assert_close(out.logits, model(images).logits, rtol=0.1, atol=0.1)


# --- stage 2


def test_group_freezes_all_but_the_head() -> None:
    model = small_model()
    assert trainable(model) == {name for name, _ in model.named_parameters()}
    assert model.group(num_groups=2) is model
    assert model.grouped
    assert isinstance(model.head, SparseGroupHead)
    assert model.head.table == model.table
    assert trainable(model) == {"head.group_parameter", "head.weight"}
    sums = model.head.group_weights().sum(1)
    torch.testing.assert_close(sums, torch.ones(6))


def test_gradients_in_stage_2_reach_the_head_alone() -> None:
    model = small_model().group()
    model(torch.randn(2, 3, 16, 20)).logits.square().sum().backward()
    assert {n for n, p in model.named_parameters() if p.grad is not None} == trainable(model)
    assert model.head.group_parameter.grad.abs().sum() > 0


def test_batchnorm_does_not_move_in_stage_2() -> None:
    model = small_model(input_scales=(0.5,)).train().group()
    assert model.training
    for _ in range(2):
        before = batchnorm_state(model)
        out = model(torch.randn(2, 3, 16, 20))
        assert all(map(torch.equal, batchnorm_state(model), before))
        assert len(out.auxiliary) == 2
        assert model.head.training
        model.eval()
        model.train()


def test_own_scales_do_not_move_in_stage_2() -> None:
    class Normalised(nn.Module):
        num_scales, dim = 1, 3

        def __init__(self) -> None:
            super().__init__()
            self.normalisation = nn.BatchNorm2d(3)

        def forward(self, features: list[Tensor]) -> Tensor:
            return self.normalisation(features[-1])[:, None]

    model = ScaleProtoSeg(nn.Identity(), 2, scales=Normalised(), prototype_dim=3).group().train()
    before = batchnorm_state(model)
    model(torch.randn(2, 3, 4, 5))
    assert all(map(torch.equal, batchnorm_state(model), before))


def test_group_keeps_the_mode_and_the_device(device: torch.device) -> None:
    model = small_model().to(device).eval().group()
    assert not model.training
    assert {p.device.type for p in model.parameters()} == {device.type}
    assert model(torch.randn(1, 3, 12, 16, device=device)).logits.device.type == device.type


def test_group_again_starts_afresh() -> None:
    model = small_model().group(2)
    model.head.weight.data.zero_()
    assert model.group(4).head.weight.shape == (3, 12)
    assert model.head.weight.any()


def test_a_number_of_groups_that_is_none_changes_nothing() -> None:
    model = small_model()
    before = trainable(model)
    with pytest.raises(ValueError, match="num_groups is 0, expected a whole number"):
        model.group(0)
    assert not model.grouped
    assert trainable(model) == before


# --- fewer prototypes


def test_keep_drops_from_layer_head_table_and_provenance() -> None:
    model = small_model().eval()
    project_prototypes(model, [random_batch()])
    table, provenance, weight = model.table, model.provenance, model.head.weight.detach().clone()
    images = torch.randn(1, 3, 16, 20)
    before = model(images)
    kept = [1, 4, 5, 9]
    model.keep_prototypes(torch.tensor([9, 4, 1, 5]))
    after = model(images)
    assert model.table == model.head.table == table.keep(kept)
    assert model.provenance == tuple(provenance[i] for i in kept)
    assert torch.equal(model.head.weight, weight[:, kept])
    torch.testing.assert_close(after.activations, before.activations[:, kept])
    expected = torch.einsum("cp,bphw->bchw", weight[:, kept], before.activations[:, kept])
    torch.testing.assert_close(after.logits, expected)


def test_keep_of_a_prototype_that_is_none_changes_nothing() -> None:
    model = small_model()
    with pytest.raises(ValueError, match="from 0 to 18, expected 0 to 17"):
        model.keep_prototypes([0, 18])
    assert len(model.table) == len(model.head.table) == 18


def test_keep_in_stage_2_is_an_error() -> None:
    model = small_model().group()
    with pytest.raises(ValueError, match=r"stage 1 only.*stage 2: drop them before model\.group"):
        model.keep_prototypes([0, 1])


# --- DeepLabv2


@pytest.mark.parametrize("size", SIZES)
def test_linear_segmenter_sums_its_branches(size: tuple[int, int], device: torch.device) -> None:
    model = LinearSegmenter(Trunk(), num_classes=5, atrous_rates=(1, 2)).to(device).eval()
    images = torch.randn(2, 3, *size, device=device)
    features = model.backbone(images)[-1]
    expected = sum(branch(features) for branch in model.scales.branches)
    out = model(images)
    torch.testing.assert_close(out.logits, expected)
    assert out.auxiliary == ()
    assert model.predict(images).shape == (2, *size)


@pytest.mark.parametrize("scales", ["atrous", "pyramid"])
def test_linear_segmenter_sums_other_scales_too(scales: str) -> None:
    model = LinearSegmenter("timm/test_resnet", 3, scales=scales, pretrained=False).eval()
    images = torch.randn(1, 3, 64, 64)
    expected = model.scales(model.backbone(images)).sum(1)
    torch.testing.assert_close(model(images).logits, expected)


def test_linear_segmenter_has_the_same_trunk() -> None:
    linear = LinearSegmenter(Trunk(), num_classes=3, atrous_rates=(1, 2))
    model = small_model()
    assert [n for n, _ in linear.backbone.named_parameters()] == [
        n for n, _ in model.backbone.named_parameters()
    ]
    assert [branch.dilation for branch in linear.scales.branches] == [
        branch.dilation for branch in model.scales.branches
    ]


def test_linear_segmenter_survives_the_folder(tmp_path: Path) -> None:
    model = LinearSegmenter(Trunk(), 3, input_scales=(0.5,), class_names=("a", "b", "c")).eval()
    model.save_pretrained(tmp_path)
    twin = LinearSegmenter.from_pretrained(tmp_path, backbone=Trunk())
    images = torch.randn(1, 3, 29, 37)
    assert torch.equal(twin(images).logits, model(images).logits)
    assert twin.class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="holds a LinearSegmenter, not a ScaleProtoSeg"):
        ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())


def test_linear_segmenter_knows_no_prototypes() -> None:
    with pytest.raises(TypeError, match="there is no option 'prototype_dim'"):
        LinearSegmenter(Trunk(), 3, **SMALL)
