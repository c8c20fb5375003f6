import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai import PrototypeTable
from protoxai.losses import GroupDiversityLoss, group_diversity_loss
from tests.cases import UNEVEN, VOID, group_heads, label_maps, maps_of, value_and_gradient
from tests.losses.test_prototype_diversity import literally


@settings(max_examples=40)
@given(st.data())
def test_as_the_method_says(data: st.DataObject) -> None:
    head = data.draw(group_heads())
    labels = data.draw(label_maps(head.table.num_classes))
    batch, height, width = labels.shape
    scores = data.draw(maps_of(batch, len(head.group_class), height, width)).exp()
    one_scale = PrototypeTable(
        head.group_class, torch.zeros_like(head.group_class), head.table.num_classes, 1
    )
    expected = value_and_gradient(lambda maps: literally(maps, labels, one_scale), scores)
    for classes in (head.group_class, head.group_table):
        found = value_and_gradient(lambda maps: group_diversity_loss(maps, labels, classes), scores)  # noqa: B023
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    module = GroupDiversityLoss(head.group_table)
    torch.testing.assert_close(module(scores, labels), expected[0], rtol=1e-9, atol=1e-10)


def test_loss_gradients() -> None:
    labels = torch.tensor([[[0, 0, 2], [2, VOID, 1]]])
    scores = torch.rand(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    group_class = torch.tensor([0, 0, 2, 2])
    assert torch.autograd.gradcheck(
        lambda scores: group_diversity_loss(scores, labels, group_class), scores
    )


def test_one_group_a_class_is_no_pair() -> None:
    scores, labels = torch.rand(1, 2, 2, 2), torch.tensor([[[0, 0], [1, 1]]])
    assert group_diversity_loss(scores, labels, torch.tensor([0, 1])) == 0


def test_labels_beyond_the_last_class_with_groups() -> None:
    scores, group_class = torch.ones(1, 2, 2, 2), torch.tensor([0, 0])
    for last in (9, VOID):
        labels = torch.tensor([[[0, 0], [0, last]]])
        assert group_diversity_loss(scores, labels, group_class) == 1


def test_all_void() -> None:
    labels = torch.full((1, 2, 2), VOID)
    assert group_diversity_loss(torch.rand(1, 2, 2, 2), labels, torch.tensor([0, 0])) == 0


def test_other_ignore_value() -> None:
    scores, labels = torch.rand(1, 2, 2, 2), torch.tensor([[[0, 0], [0, -1]]])
    group_class = torch.tensor([0, 0])
    found = group_diversity_loss(scores, labels, group_class, ignore_index=-1)
    renamed = labels.masked_fill(labels == -1, VOID)
    assert torch.equal(found, group_diversity_loss(scores, renamed, group_class))
    table = PrototypeTable(group_class, group_class * 0, 1, 1)
    assert torch.equal(found, GroupDiversityLoss(table, ignore_index=-1)(scores, labels))


def test_scores_that_do_not_fit_the_groups() -> None:
    with pytest.raises(ValueError, match=r"group_class: got shape \(2,\), expected \(groups=3\)"):
        group_diversity_loss(
            torch.rand(1, 3, 2, 2), torch.zeros(1, 2, 2).long(), torch.tensor([0, 0])
        )


def test_wrong_label_value() -> None:
    labels = torch.tensor([[[0, -3]]])
    with pytest.raises(ValueError, match=r"hold -3;"):
        group_diversity_loss(torch.rand(1, 2, 1, 2), labels, torch.tensor([0, 0]))
    labels = torch.tensor([[[0, 5]]])
    with pytest.raises(ValueError, match=r"hold 5;.*0 to 4"):
        group_diversity_loss(torch.rand(1, 8, 1, 2), labels, UNEVEN)
