import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeHead, PrototypeTable, SparseGroupHead, project_to_simplex
from tests.cases import (
    UNEVEN,
    gradcheck_parameter,
    group_heads,
    maps_of,
    poison_padding,
    reordered_heads,
    set_of,
    tables,
)


def maps(batch: int, channels: int) -> Tensor:
    return torch.rand(batch, channels, 2, 3, dtype=torch.float64) * 9


# --- stage 1


def test_stage_1_starts_with_own_and_off_class_weights() -> None:
    head = PrototypeHead(UNEVEN, off_class=-0.25)
    own = UNEVEN.class_index == torch.arange(5)[:, None]
    assert torch.equal(head.weight.detach(), torch.where(own, 1.0, -0.25))
    assert PrototypeHead(UNEVEN).weight.min() == -0.5
    assert torch.equal(head.unit_class, UNEVEN.class_index)


@settings(max_examples=20)
@given(st.data())
def test_stage_1_logits_are_the_weighted_sum(data: st.DataObject) -> None:
    table = data.draw(tables())
    head = PrototypeHead(table).double()
    head.weight.data = data.draw(maps_of(*head.weight.shape))
    activations = data.draw(maps_of(2, len(table), 2, 3))
    logits = head(activations)
    for c in range(table.num_classes):
        expected = sum(head.weight[c, p] * activations[:, p] for p in range(len(table)))
        torch.testing.assert_close(logits[:, c], expected, rtol=0, atol=1e-10)


@settings(max_examples=20)
@given(st.data())
def test_stage_1_keep_selects_columns(data: st.DataObject) -> None:
    table = data.draw(tables())
    indices = sorted(data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1)))
    head = PrototypeHead(table).double()
    head.weight.data = data.draw(maps_of(*head.weight.shape))
    before = head.weight.detach().clone()
    head.keep(indices[::-1])
    assert head.table == table.keep(indices)
    assert torch.equal(head.weight.detach(), before[:, indices])
    assert head(torch.ones(1, len(indices), 1, 1)).shape == (1, table.num_classes, 1, 1)


def test_stage_1_gradients() -> None:
    head = PrototypeHead(UNEVEN).double()
    activations = maps(1, 8)
    assert torch.autograd.gradcheck(head, activations.clone().requires_grad_())
    assert gradcheck_parameter(lambda head: head(activations), head, "weight")


# --- stage 2


def test_groups_are_class_major_and_only_of_classes_with_prototypes() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2, off_class=-0.25)
    assert head.group_class.tolist() == [0, 0, 2, 2, 3, 3]
    assert head.group_weights().shape == (6, 8)
    own = head.group_class == torch.arange(5)[:, None]
    assert torch.equal(head.weight.detach(), torch.where(own, 1.0, -0.25))
    assert SparseGroupHead(UNEVEN).group_class.tolist() == [0] * 3 + [2] * 3 + [3] * 3
    assert SparseGroupHead(UNEVEN).weight.min() == -0.5


@settings(max_examples=30)
@given(tables(), st.integers(1, 3))
def test_groups_start_on_the_simplex_over_their_own_class(
    table: PrototypeTable, num_groups: int
) -> None:
    head = SparseGroupHead(table, num_groups)
    weights = head.group_weights()
    foreign = head.group_class[:, None] != table.class_index
    assert (weights[foreign] == 0).all()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))
    for c in range(table.num_classes):
        own = weights[head.group_class == c][:, set_of(table, c)]
        if not len(own):
            own = own.new_zeros(0, 0)
        assert torch.equal(head.group_weights(c), own)


def test_start_is_drawn_from_the_range_of_the_method() -> None:
    # With two prototypes the projection leaves a corner where the two drawn weights differ by 1 or
    # more. For U(-a, a), a = 1/sqrt(2), that is (1 - 1/(2a))^2 of all groups.
    head = SparseGroupHead(PrototypeTable([0, 0, 1], [0, 0, 0], 2, 1), num_groups=20_000)
    corners = (head.group_weights(0) == 1).any(1).float().mean()
    assert corners.item() == pytest.approx((1 - 0.5**0.5) ** 2, abs=0.01)


@settings(max_examples=30)
@given(st.data())
def test_scores_and_logits_are_as_defined(data: st.DataObject) -> None:
    head = data.draw(group_heads())
    activations = data.draw(maps_of(2, len(head.table), 2, 3)).abs()
    weights, group_class = head.group_weights(), head.group_class.tolist()
    scores, logits = head.scores(activations), head(activations)
    for n, c in enumerate(group_class):
        total = sum(weights[n, p] * activations[:, p] for p in set_of(head.table, c))
        torch.testing.assert_close(scores[:, n], total.exp(), rtol=1e-10, atol=0)
    for c in range(head.table.num_classes):
        expected = sum(head.weight[c, n] * scores[:, n] for n in range(len(group_class)))
        torch.testing.assert_close(logits[:, c], expected, rtol=1e-10, atol=1e-8)
    assert torch.equal(head.classify(scores), logits)


@settings(max_examples=30)
@given(st.data())
def test_group_weights_come_back_as_they_were_set(data: st.DataObject) -> None:
    head = data.draw(group_heads())
    twin = SparseGroupHead(head.table, head.num_groups).double()
    dense = head.group_weights()
    twin.set_group_weights(dense)
    assert torch.equal(twin.group_weights(), dense)
    dense.detach().fill_(7)
    assert not (twin.group_weights() == 7).any()


@pytest.mark.parametrize("members", [3, 252, 4000])
def test_projected_weights_can_be_set_again(members: int) -> None:
    table = PrototypeTable([0] * members, [0] * members, 1, 1)
    head = SparseGroupHead(table, num_groups=50)
    weights = head.group_weights().detach()
    head.set_group_weights(weights)
    assert torch.equal(head.group_weights(), weights)


def test_weights_that_sum_to_less_than_1_are_kept() -> None:
    head = SparseGroupHead(PrototypeTable([0, 0, 1], [0, 1, 0], 2, 2), num_groups=1)
    given = torch.tensor([[0.25, 0.5, 0], [0, 0, 0]])
    head.set_group_weights(given)
    assert torch.equal(head.group_weights(), given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(0, 0): -0.1}, r"from -0\.1.*entries >= 0"),
        ({(0, 0): 1.1}, r"sums up to 1\.1.*sums <= 1.*project_to_simplex"),
        ({(0, 0): 1 + 2e-6}, r"sums <= 1"),
        ({(0, 0): 0.5, (0, 2): 0.5}, r"zero outside of the group's class"),
        ({(0, 0): torch.nan}, r"expected entries >= 0"),
    ],
)
def test_weights_that_are_none_change_nothing(
    change: dict[tuple[int, int], float], message: str
) -> None:
    head = SparseGroupHead(PrototypeTable([0, 0, 1], [0, 1, 0], 2, 2), num_groups=1).double()
    before = head.group_weights().clone()
    dense = torch.tensor([[0, 0, 0], [0, 0, 1]], dtype=torch.float64)
    for place, value in change.items():
        dense[place] = value
    with pytest.raises(ValueError, match=message):
        head.set_group_weights(dense)
    assert torch.equal(head.group_weights(), before)


def test_sum_may_exceed_1_by_rounding() -> None:
    head = SparseGroupHead(PrototypeTable([0, 0], [0, 0], 1, 1), num_groups=1).double()
    head.set_group_weights(torch.tensor([[0.5, 0.5 + 9e-7]], dtype=torch.float64))
    assert head.group_weights()[0, 1] == 0.5 + 9e-7


@pytest.mark.parametrize("shape", [(6, 9), (5, 8), (6,)])
def test_weights_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"\({shape[0]}, ?.*expected \(groups=6, prototypes=8\)"):
        SparseGroupHead(UNEVEN, num_groups=2).set_group_weights(torch.zeros(shape))


def test_weights_of_one_class() -> None:
    head = SparseGroupHead(PrototypeTable([1, 0, 1], [1, 0, 0], 3, 2), num_groups=1)
    head.set_group_weights(torch.tensor([[0, 1, 0], [0.25, 0, 0.75]]))
    assert head.group_weights(0).tolist() == [[1]]
    assert head.group_weights(1).tolist() == [[0.25, 0.75]]
    assert head.group_weights(2).shape == (0, 0)
    for wrong in (-1, 3):
        with pytest.raises(
            ValueError, match=rf"class_index is {wrong}, expected a whole number from 0 to 2"
        ):
            head.group_weights(wrong)


def test_threshold_is_strict_and_nothing_is_renormalised() -> None:
    head = SparseGroupHead(PrototypeTable([0] * 4, [0] * 4, 1, 1), num_groups=1).double()
    given = torch.tensor([[0.05, 0.049, 0.001, 0.9]], dtype=torch.float64)
    head.set_group_weights(given)
    head.threshold_(0.05)
    assert head.group_weights().tolist() == [[0.05, 0, 0, 0.9]]
    head.threshold_(0.5)
    assert head.group_weights().tolist() == [[0, 0, 0, 0.9]]


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -0.1, 1.0, 5.0, "0.05", None, True])
def test_thresholds_outside_of_their_range_change_nothing(threshold: object) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    before = head.group_weights().clone()
    with pytest.raises((TypeError, ValueError), match=r"threshold is .*at least 0 and below 1"):
        head.threshold_(threshold)
    assert torch.equal(head.group_weights(), before)


@pytest.mark.parametrize("wrong", [2.5, math.nan, "car", True, torch.tensor([0, 1])])
def test_classes_that_are_no_whole_number(wrong: object) -> None:
    for head in (SparseGroupHead(UNEVEN), PrototypeHead(UNEVEN)):
        read = head.group_weights if isinstance(head, SparseGroupHead) else head.class_weights
        with pytest.raises((TypeError, ValueError), match=r"class_index is .*from 0 to 4"):
            read(wrong)


@pytest.mark.parametrize("wrong", [[[1.0]], None, torch.zeros(6, 8, dtype=torch.complex64)])
def test_group_weights_that_are_no_real_tensor(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"dense: got .*expected (a tensor of )?real numbers"):
        SparseGroupHead(UNEVEN, num_groups=2).set_group_weights(wrong)


@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, "0.5"])
def test_off_class_weights_that_are_no_number(kind: type, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"off_class is .*expected a number"):
        kind(UNEVEN, off_class=wrong)


@settings(max_examples=20)
@given(group_heads(), st.data())
def test_projecting_the_head_projects_each_group(
    head: SparseGroupHead, data: st.DataObject
) -> None:
    head.group_parameter.data = data.draw(maps_of(*head.group_parameter.shape))
    before = {c: head.group_weights(c).detach().clone() for c in head.classes.tolist()}
    head.project_to_simplex_()
    for c, weights in before.items():
        torch.testing.assert_close(head.group_weights(c).detach(), project_to_simplex(weights))


def test_padding_never_leaks() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    activations = maps(2, 8)
    poisoned = copy.deepcopy(head)
    poison_padding(poisoned)
    assert (poisoned.group_parameter == 1e6).any()
    assert torch.equal(poisoned.group_weights(), head.group_weights())
    assert torch.equal(poisoned(activations), head(activations))
    for c in range(5):
        assert torch.equal(poisoned.group_weights(c), head.group_weights(c))
    poisoned(activations).sum().backward()
    padding = ~head.member_mask.expand_as(head.group_parameter)
    assert (poisoned.group_parameter.grad[padding] == 0).all()
    poisoned.project_to_simplex_()
    head.project_to_simplex_()
    assert torch.equal(poisoned.group_weights(), head.group_weights())


@settings(max_examples=20)
@given(st.data())
def test_permuting_the_table_changes_no_logit(data: st.DataObject) -> None:
    head, order, permuted = data.draw(reordered_heads())
    activations = data.draw(maps_of(1, len(head.table), 2, 2)).abs()
    torch.testing.assert_close(permuted(activations[:, order]), head(activations))
    stage_1 = PrototypeHead(head.table).double()(activations)
    other = PrototypeHead(permuted.table).double()(activations[:, order])
    torch.testing.assert_close(other, stage_1)


def test_stage_2_gradients() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    activations = torch.rand(1, 8, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head.scores, activations)
    assert torch.autograd.gradcheck(head, activations)
    fixed = activations.detach()
    assert gradcheck_parameter(lambda head: head(fixed), head, "group_parameter")
    assert gradcheck_parameter(lambda head: head(fixed), head, "weight")


def test_number_of_groups_out_of_range() -> None:
    for wrong, error in ((0, ValueError), (1.5, ValueError), (True, TypeError)):
        with pytest.raises(error, match=rf"num_groups is {wrong}.*at least 1"):
            SparseGroupHead(UNEVEN, num_groups=wrong)


# --- both


HEADS = [PrototypeHead, SparseGroupHead]


@pytest.mark.parametrize("kind", HEADS)
def test_state_goes_into_a_fresh_head(kind: type[PrototypeHead | SparseGroupHead]) -> None:
    head, twin = kind(UNEVEN), kind(UNEVEN)
    head.weight.data.uniform_()
    activations = torch.rand(1, 8, 2, 2)
    twin.load_state_dict(head.state_dict())
    assert torch.equal(twin(activations), head(activations))
    assert torch.equal(copy.deepcopy(head)(activations), head(activations))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("whole_head", [False, True])
def test_heads_compute_in_float32_under_autocast(
    kind: type[PrototypeHead | SparseGroupHead],
    dtype: torch.dtype,
    whole_head: bool,
    device: torch.device,
) -> None:
    head = kind(UNEVEN).to(device)
    activations = (torch.rand(1, 8, 2, 2, device=device) * 9).to(dtype)
    if whole_head:
        head.to(dtype)
    with torch.autocast(device.type, dtype=dtype):
        logits = head(activations)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, head.float()(activations.float()))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("shape", [(1, 7, 2, 2), (8, 2, 2), (1, 8, 2), (1, 8, 2, 2, 2)])
def test_activations_that_do_not_fit_the_table(
    kind: type[PrototypeHead | SparseGroupHead], shape: tuple[int, ...]
) -> None:
    message = rf"got shape \({shape[0]}, .*\(batch, prototypes=8, height, width\)"
    with pytest.raises(ValueError, match=message):
        kind(UNEVEN)(torch.rand(shape))


def test_scores_that_do_not_fit_the_groups() -> None:
    with pytest.raises(ValueError, match=r"got shape \(1, 8, 2, 2\).*groups=6"):
        SparseGroupHead(UNEVEN, num_groups=2).classify(torch.rand(1, 8, 2, 2))
