import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai import PrototypeTable, ScaleProtoSeg, project_prototypes
from tests.cases import UNEVEN, maps_of, set_of, tables
from tests.toys import assert_same_output, random_batch, small_model

NAMES = ("sky", "road", "tree")


def model_of(table: PrototypeTable, *, grouped: bool = False) -> ScaleProtoSeg:
    """A model in float64 with random weights in its last layer."""
    model = small_model(
        table.num_classes,
        table=table,
        atrous_rates=tuple(range(1, table.num_scales + 1)),
        prototype_dim=3,
    )
    if grouped:
        group(model)
    model.head.weight.data.normal_()
    return model.double().eval()


def group(model: ScaleProtoSeg) -> None:
    """Enter stage 2 with groups that use every prototype of their class."""
    head = model.group(2).head
    own = head.group_class[:, None] == model.table.class_index
    weights = torch.rand(own.shape).add(0.1).masked_fill(~own, 0)
    head.set_group_weights(0.9 * weights / weights.sum(1, keepdim=True))


@st.composite
def removals(draw: st.DrawFn) -> tuple[PrototypeTable, list[int]]:
    """A table, and prototypes of which every class keeps one."""
    table = draw(tables())
    own = [set_of(table, c) for c in table.classes.tolist()]
    kept = {draw(st.sampled_from(members)) for members in own}
    free = [p for p in range(len(table)) if p not in kept]
    return table, draw(st.lists(st.sampled_from(free), unique=True)) if free else []


# --- exactly its share


@settings(max_examples=30)
@given(st.data())
def test_stage_1_loses_exactly_the_share_of_what_is_removed(data: st.DataObject) -> None:
    table, removed = data.draw(removals())
    if not removed:
        return
    model = model_of(table)
    images = data.draw(maps_of(2, 3, 9, 13))
    with torch.no_grad():
        before, after = model(images), model.without(removed)(images)
    expected = before.logits.clone()
    for p in removed:
        for c in range(table.num_classes):
            expected[:, c] -= model.head.weight[c, p].detach() * before.activations[:, p]
    torch.testing.assert_close(after.logits, expected, rtol=1e-12, atol=1e-10)


@settings(max_examples=30)
@given(st.data())
def test_stage_2_divides_each_score_by_what_is_removed(data: st.DataObject) -> None:
    table, removed = data.draw(removals())
    if not removed:
        return
    model = model_of(table, grouped=True)
    images = data.draw(maps_of(2, 3, 9, 13))
    weights = model.head.group_weights().detach()
    with torch.no_grad():
        before, after = model(images), model.without(removed)(images)
    lost = torch.einsum("np,bphw->bnhw", weights[:, removed], before.activations[:, removed])
    torch.testing.assert_close(after.group_scores, before.group_scores / lost.exp())


@pytest.mark.parametrize("grouped", [False, True])
def test_a_prototype_without_weight_changes_nothing(grouped: bool) -> None:
    model = model_of(UNEVEN, grouped=grouped).float()
    if grouped:
        weights = model.head.group_weights().detach()
        weights[:, 5] = 0
        model.head.set_group_weights(weights)
    else:
        model.head.weight.data[:, 5] = 0
    images = torch.randn(2, 3, 33, 41)
    with torch.no_grad():
        expected, result = model(images), model.without([5])(images)
    assert torch.equal(result.logits, expected.logits)
    assert torch.equal(result.activations, expected.activations[:, [0, 1, 2, 3, 4, 6, 7]])


# --- what is gone and what stays


@pytest.mark.parametrize("grouped", [False, True])
def test_layer_table_head_and_provenance_shrink_together(grouped: bool) -> None:
    model = small_model()
    project_prototypes(model, [random_batch()])
    if grouped:
        group(model)
        model.head.weight.requires_grad_(False)
    kept = [p for p in range(len(model.table)) if p not in (1, 4)]
    small = model.without(torch.tensor([4, 1]))
    assert small.table == small.head.table == small.prototype_layer.table == model.table.keep(kept)
    assert torch.equal(small.prototype_layer.prototypes, model.prototype_layer.prototypes[kept])
    assert small.provenance == tuple(model.provenance[p] for p in kept)
    assert small.head.weight.requires_grad is not grouped
    if grouped:
        assert torch.equal(small.head.weight, model.head.weight)
        assert torch.equal(small.head.group_weights(), model.head.group_weights()[:, kept])


@pytest.mark.parametrize("grouped", [False, True])
def test_the_model_itself_stays_as_it_is(grouped: bool) -> None:
    model = model_of(UNEVEN, grouped=grouped).train()
    before, images = copy.deepcopy(model.state_dict()), torch.randn(2, 3, 9, 13).double()
    small = model.without([0])
    assert small.training
    expected = model.eval()(images)
    for parameter in small.parameters():
        parameter.data.fill_(7)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert_same_output(model(images), expected)


@pytest.mark.parametrize("grouped", [False, True])
def test_in_two_steps_as_in_one(grouped: bool) -> None:
    model = model_of(UNEVEN, grouped=grouped)
    images = torch.randn(1, 3, 9, 13).double()
    # After the first step, prototype 6 is number 5.
    twice = model.without([1]).without([5])
    assert_same_output(twice(images), model.without([1, 6])(images))


# --- no class loses its last prototype


@pytest.mark.parametrize("grouped", [False, True])
def test_the_last_prototype_of_a_class_stays(grouped: bool) -> None:
    model = model_of(UNEVEN, grouped=grouped)
    with pytest.raises(ValueError, match="without the prototypes 3, class 3 would lose its last"):
        model.without([1, 3])
    with pytest.raises(ValueError, match=r"prototypes 0, 5, 7, class 2 would lose .* keep one of"):
        model.without([0, 1, 5, 7])
    assert model.without([0, 5]).table.classes.tolist() == [0, 2, 3]


def test_the_error_names_the_class() -> None:
    model = small_model(class_names=NAMES)
    own = set_of(model.table, 1)
    with pytest.raises(ValueError, match="class road would lose its last prototype: keep"):
        model.without(own)


def test_the_last_prototype_that_groups_use_stays() -> None:
    model = model_of(UNEVEN, grouped=True)
    weights = torch.zeros_like(model.head.group_weights())
    weights[model.head.group_class == 0, 2] = 0.5
    model.head.set_group_weights(weights)
    with pytest.raises(
        ValueError, match="prototypes 2, class 0 would lose its last prototype that"
    ):
        model.without([1, 2])
    # Class 2, whose groups use none, has nothing to lose.
    assert len(model.without([0, 1]).table) == 6


@pytest.mark.parametrize(
    ("prototypes", "message"),
    [
        ([8], "prototypes is 8, expected a whole number from 0 to 7"),
        ([-1], "prototypes is -1"),
        ([1, 2, 1], "prototypes hold 1 twice"),
        ([], "expected a list of whole numbers"),
    ],
)
def test_wrong_indices(prototypes: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(UNEVEN).without(prototypes)
