import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.attribution import (
    baseline_logit,
    member_evidence,
    prototype_evidence,
    region_weights,
    unit_evidence,
)
from protoxai.attribution.evidence import evidence_of_prototype
from protoxai.model.outputs import SegmentationOutput
from tests.cases import UNEVEN, group_heads, maps_of, tables

Head = PrototypeHead | SparseGroupHead


def decision(head: Head, activations: Tensor) -> SegmentationOutput:
    """What a model with this head returns for the activations."""
    scores = head.scores(activations) if isinstance(head, SparseGroupHead) else None
    logits = head(activations).detach()
    return SegmentationOutput(logits, torch.empty(0), torch.empty(0), activations, scores)


def head_of(kind: type[Head]) -> Head:
    """A head over the uneven table whose last layer has weights of either sign."""
    head = kind(UNEVEN).double()
    head.weight.data.normal_(std=2)
    return head


def some_activations() -> Tensor:
    return torch.rand(2, len(UNEVEN), 3, 4, dtype=torch.float64) * 9


HEADS = pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
CLASSES = pytest.mark.parametrize("class_index", range(UNEVEN.num_classes))


@HEADS
@CLASSES
def test_logit_is_baseline_plus_units_plus_nothing(kind: type[Head], class_index: int) -> None:
    head, activations = head_of(kind), some_activations()
    output = decision(head, activations)
    for evidence in (unit_evidence, prototype_evidence):
        total = baseline_logit(head)[class_index] + evidence(head, output, class_index).sum(1)
        torch.testing.assert_close(total, output.logits[:, class_index], rtol=1e-9, atol=1e-9)


@given(st.data())
def test_shares_add_up_for_any_table(data: st.DataObject) -> None:
    head = data.draw(group_heads())
    head.weight.data = data.draw(maps_of(*head.weight.shape))
    activations = data.draw(maps_of(1, len(head.table), 2, 3)).abs()
    class_index = data.draw(st.integers(0, head.table.num_classes - 1))
    output = decision(head, activations)
    groups, prototypes = (
        f(head, output, class_index).sum(1) for f in (unit_evidence, prototype_evidence)
    )
    torch.testing.assert_close(prototypes, groups, rtol=1e-9, atol=1e-9)


@given(tables(), st.integers(0, 2**31))
def test_stage_1_evidence_is_weight_times_activation(table, seed) -> None:
    torch.manual_seed(seed)
    head = PrototypeHead(table).double()
    head.weight.data.normal_()
    activations = torch.rand(1, len(table), 2, 2, dtype=torch.float64)
    result = prototype_evidence(head, decision(head, activations), 0)
    by_hand = torch.stack([head.weight[0, p] * activations[:, p] for p in range(len(table))], 1)
    torch.testing.assert_close(result, by_hand.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_baseline_is_that_of_the_logits_where_weights_have_half_precision(
    dtype: torch.dtype,
) -> None:
    table = PrototypeTable.regular(num_classes=8, num_scales=2, per_scale=2)
    head = SparseGroupHead(table, num_groups=7)
    head.weight.data.uniform_(1, 2)
    silence = torch.zeros(1, len(table), 1, 1)
    logits = head.to(dtype)(silence)[0, :, 0, 0]
    torch.testing.assert_close(baseline_logit(head), logits.detach(), rtol=1e-5, atol=1e-5)


def test_baseline_is_the_logit_of_silence() -> None:
    silence = torch.zeros(1, len(UNEVEN), 1, 1, dtype=torch.float64)
    for kind in (PrototypeHead, SparseGroupHead):
        head = head_of(kind)
        output = decision(head, silence)
        torch.testing.assert_close(baseline_logit(head), output.logits.flatten())
        for class_index in range(UNEVEN.num_classes):
            assert not prototype_evidence(head, output, class_index).any()


@pytest.mark.parametrize("size", [1e-12, 1e-8, 5e-7, 2e-6, 1e-3, 9.0])
def test_shares_are_right_near_silence_and_far_from_it(size: float) -> None:
    head = head_of(SparseGroupHead)
    activations = some_activations() * size / 9
    result = prototype_evidence(head, decision(head, activations), 0)
    weights = head.group_weights().detach()
    sums = torch.einsum("np,bphw->bnhw", weights, activations)
    slope = (1 + sums / 2 + sums**2 / 6) if size < 1e-3 else torch.expm1(sums) / sums
    by_hand = torch.einsum("n,np,bnhw,bphw->bphw", head.weight[0], weights, slope, activations)
    torch.testing.assert_close(result, by_hand.detach(), rtol=1e-10, atol=0)


def test_single_precision_adds_up() -> None:
    head = head_of(SparseGroupHead).float()
    output = decision(head, some_activations().float())
    total = prototype_evidence(head, output, 2).sum(1) + baseline_logit(head)[2]
    torch.testing.assert_close(total, output.logits[:, 2], rtol=1e-5, atol=1e-3)


@HEADS
@CLASSES
def test_shares_are_integrated_gradients_from_silence(kind: type[Head], class_index: int) -> None:
    from captum.attr import IntegratedGradients

    head, activations = head_of(kind), some_activations()

    def logit(maps: Tensor) -> Tensor:
        return head(maps)[:, class_index].sum((1, 2))

    path = IntegratedGradients(logit).attribute(
        activations, baselines=0, n_steps=40, method="gausslegendre"
    )
    result = prototype_evidence(head, decision(head, activations), class_index)
    torch.testing.assert_close(result, path, rtol=1e-7, atol=1e-6)


def test_scores_are_computed_where_the_output_has_none() -> None:
    head, activations = head_of(SparseGroupHead), some_activations()
    output = decision(head, activations)
    bare = output._replace(group_scores=None)
    torch.testing.assert_close(unit_evidence(head, bare, 0), unit_evidence(head, output, 0))


@CLASSES
def test_members_share_their_group_and_nothing_else(class_index: int) -> None:
    head = head_of(SparseGroupHead)
    output = decision(head, some_activations()[:1])
    weights = torch.rand(3, 4, dtype=torch.float64)
    weights /= weights.sum()
    shares = member_evidence(head, output, class_index, weights)
    own_groups = head.group_class == class_index
    own_prototypes = UNEVEN.class_index == class_index
    groups = (unit_evidence(head, output, class_index)[0] * weights).sum((1, 2))[own_groups]
    every = (prototype_evidence(head, output, class_index)[0] * weights).sum((1, 2))
    if not own_prototypes.any():
        assert shares.shape == (0, 0)
        return
    assert shares.shape == (head.num_groups, int(own_prototypes.sum()))
    torch.testing.assert_close(shares.sum(1), groups, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shares.sum(0), every[own_prototypes], rtol=1e-9, atol=1e-9)


@CLASSES
def test_at_every_pixel_the_members_shares_are_their_groups_evidence(class_index: int) -> None:
    head = head_of(SparseGroupHead)
    output = decision(head, some_activations()[:1])
    groups = unit_evidence(head, output, class_index)[0, head.group_class == class_index]
    for row in range(3):
        for col in range(4):
            pixel = torch.zeros(3, 4, dtype=torch.float64)
            pixel[row, col] = 1
            shares = member_evidence(head, output, class_index, pixel)
            torch.testing.assert_close(shares.sum(1), groups[:, row, col], rtol=1e-9, atol=1e-9)


def test_a_member_without_weight_has_no_share() -> None:
    head = head_of(SparseGroupHead)
    dense = torch.zeros(len(head.group_class), len(UNEVEN), dtype=torch.float64)
    first = UNEVEN.class_index.tolist().index(0)
    dense[head.group_class == 0, first] = 0.7
    head.set_group_weights(dense)
    weights = torch.full((3, 4), 1 / 12, dtype=torch.float64)
    shares = member_evidence(head, decision(head, some_activations()[:1]), 0, weights)
    assert (shares != 0).sum(0).tolist() == [3, 0, 0, 0]


@given(
    st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 6)] * 2), st.integers(0, 2**31)
)
def test_region_weights_give_the_mean_over_the_region(size, grid, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    region = torch.rand(size, generator=generator) < 0.4
    region[0, 0] = True
    maps = torch.randn(5, 1, *grid, generator=generator, dtype=torch.float64)
    resized = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    weights = region_weights(region, grid)
    assert weights.shape == grid
    torch.testing.assert_close(
        (maps[:, 0] * weights).sum((1, 2)), resized[:, 0, region].mean(1), rtol=1e-12, atol=1e-14
    )
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_regions_come_in_any_number_of_dimensions() -> None:
    regions = torch.rand(2, 3, 8, 10) < 0.5
    weights = region_weights(regions, (4, 5))
    assert weights.shape == (2, 3, 4, 5)
    torch.testing.assert_close(weights[1, 2], region_weights(regions[1, 2], (4, 5)))


def test_an_empty_region_is_undefined_and_leaves_the_others_alone() -> None:
    regions = torch.zeros(2, 8, 8, dtype=torch.bool)
    regions[1, 3] = True
    empty, line = region_weights(regions, (4, 4))
    assert empty.isnan().all()
    torch.testing.assert_close(line, region_weights(regions[1], (4, 4)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_region_weights_where_gradients_are_off(mode) -> None:
    region = torch.ones(4, 4, dtype=torch.bool)
    with mode():
        weights = region_weights(region, (2, 2))
    torch.testing.assert_close(weights, torch.full((2, 2), 0.25, dtype=torch.float64))
    assert not weights.requires_grad


@HEADS
@CLASSES
@pytest.mark.parametrize("with_scores", [True, False])
def test_one_prototype_has_its_map_of_all(
    kind: type[Head], class_index: int, with_scores: bool
) -> None:
    head = head_of(kind)
    output = decision(head, some_activations())
    expected = prototype_evidence(head, output, class_index)
    if not with_scores:
        output = output._replace(group_scores=None)
    for prototype in range(len(UNEVEN)):
        found = evidence_of_prototype(head, output, class_index, prototype)
        torch.testing.assert_close(found, expected[:, prototype])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_region_weights_are_the_gradient_of_the_mean(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    region = torch.rand(2, height, width) > 0.3
    region[:, 0, 0] = True
    maps = torch.zeros(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    resized = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)[:, 0]
    mean = sum(one[mask].mean() for one, mask in zip(resized, region, strict=True))
    (expected,) = torch.autograd.grad(mean, maps)
    torch.testing.assert_close(region_weights(region, (3, 4)), expected[:, 0])
