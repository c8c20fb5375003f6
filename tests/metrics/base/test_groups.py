import torch

from protoxai.metrics.base.groups import groups_by_index, numbered_groups, sums_by_group


def test_groups_are_numbered_as_they_appear() -> None:
    assert numbered_groups(torch.tensor([7, 2, 7]), 3).tolist() == [0, 1, 0]
    assert numbered_groups((("a", 1), 2, ("a", 1)), 3).tolist() == [0, 1, 0]
    assert numbered_groups(None, 3).tolist() == [0, 1, 2]
    assert numbered_groups([], 0).tolist() == []


def test_groups_of_indices() -> None:
    assert groups_by_index(torch.tensor([4, 9]), "abcdefghij".__getitem__) == ["e", "j"]


def test_sums_of_rows() -> None:
    rows = torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    assert sums_by_group(rows, torch.tensor([1, 0, 1])).tolist() == [[3, 4], [6, 8]]
    assert sums_by_group(rows[:0], torch.zeros(0).long()).shape == (0, 2)
