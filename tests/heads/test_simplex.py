from itertools import chain, combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import protoxai
from protoxai import heads
from protoxai.heads.simplex import project_to_simplex
from tests.cases import maps_of


def nearest_by_trying_every_support(row: Tensor) -> Tensor:
    """The nearest point of each face of the simplex that has one inside; the nearest of those."""
    numbers = range(len(row))
    faces = chain.from_iterable(combinations(numbers, size) for size in range(1, len(row) + 1))
    candidates = []
    for face in map(list, faces):
        point = torch.zeros_like(row)
        point[face] = row[face] - (row[face].sum() - 1) / len(face)
        if (point >= 0).all():
            candidates.append(point)
    return min(candidates, key=lambda point: float((point - row).norm()))


@settings(max_examples=60)
@given(st.lists(st.floats(-5, 5, width=64), min_size=1, max_size=6))
def test_projection_is_the_nearest_point_of_the_simplex(row: list[float]) -> None:
    point = torch.tensor(row, dtype=torch.float64)
    torch.testing.assert_close(
        project_to_simplex(point), nearest_by_trying_every_support(point), rtol=0, atol=1e-12
    )


@settings(max_examples=30)
@given(st.data())
def test_projection_is_on_the_simplex_and_idempotent(data: st.DataObject) -> None:
    rows = data.draw(maps_of(2, 3, data.draw(st.integers(1, 40))))
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        once = project_to_simplex(rows.to(dtype))
        assert once.dtype == dtype
        assert once.min() >= 0
        torch.testing.assert_close(
            once.sum(-1), torch.ones(2, 3, dtype=dtype), rtol=0, atol=tolerance
        )
        torch.testing.assert_close(project_to_simplex(once), once, rtol=0, atol=tolerance)


@settings(max_examples=30)
@given(st.data())
def test_masked_entries_take_no_part(data: st.DataObject) -> None:
    rows = data.draw(maps_of(4, 6))
    counts = data.draw(st.lists(st.integers(1, 6), min_size=4, max_size=4))
    mask = torch.stack([torch.randperm(6) < count for count in counts])
    projected = project_to_simplex(rows.masked_fill(~mask, 1e6), mask)
    assert (projected[~mask] == 0).all()
    for row, kept, expected in zip(rows, mask, projected, strict=True):
        torch.testing.assert_close(expected[kept], project_to_simplex(row[kept]))


def test_mask_is_broadcast() -> None:
    mask = torch.tensor([[[True, False, True]], [[True, True, True]]])
    rows = torch.zeros(2, 4, 3)
    expected = torch.tensor([[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(project_to_simplex(rows, mask), expected[:, None].expand(2, 4, 3))


@pytest.mark.parametrize("offset", [1e6, -1e6, 1e30, -1e30])
def test_large_offsets_and_ties(offset: float) -> None:
    rows = torch.full((2, 4), offset)
    torch.testing.assert_close(project_to_simplex(rows), torch.full((2, 4), 0.25))
    rows = torch.tensor([offset, 0.0, -offset])
    winner = rows == abs(offset)
    torch.testing.assert_close(project_to_simplex(rows), winner.float())


def test_projection_of_half_precision_keeps_the_type() -> None:
    projected = project_to_simplex(torch.tensor([0.5, 0.9], dtype=torch.bfloat16))
    assert projected.dtype == torch.bfloat16
    torch.testing.assert_close(projected.float(), torch.tensor([0.3, 0.7]), rtol=0, atol=4e-3)


def test_projection_shows_a_number_that_is_none() -> None:
    rows = torch.tensor([[torch.nan, 0.0], [3.0, 0.0]])
    projected = project_to_simplex(rows)
    assert projected[0].isnan().all()
    assert projected[1].tolist() == [1, 0]


def test_projection_of_what_is_no_row() -> None:
    with pytest.raises(TypeError, match=r"torch\.int64.*\.float\(\)"):
        project_to_simplex(torch.tensor([1, 2]))
    for shape in ((), (3, 0)):
        with pytest.raises(ValueError, match=r"rows.* expected \(\.\.\., M"):
            project_to_simplex(torch.zeros(shape))


def test_projection_of_a_row_without_entry() -> None:
    mask = torch.tensor([[True, True], [False, False]])
    with pytest.raises(ValueError, match="row"):
        project_to_simplex(torch.zeros(2, 2), mask)


def test_one_projection_under_its_public_names() -> None:
    assert protoxai.project_to_simplex is heads.project_to_simplex is project_to_simplex


def test_projection_leaves_its_input_and_its_device_alone(device: torch.device) -> None:
    rows = torch.tensor([[0.5, 0.9, 7.0], [3.0, 1.0, 9.0]], device=device)
    mask = torch.tensor([[True, True, False], [True, True, True]], device=device)
    before = rows.clone()
    projected = project_to_simplex(rows, mask)
    assert projected.device.type == device.type
    expected = torch.tensor([[0.3, 0.7, 0], [0, 0, 1]], device=device)
    torch.testing.assert_close(projected, expected)
    assert torch.equal(rows, before)


def test_projection_of_rows_in_any_layout() -> None:
    rows = torch.randn(4, 5, dtype=torch.float64)
    expected = project_to_simplex(rows)
    assert torch.equal(project_to_simplex(rows.T.contiguous().T), expected)
    assert torch.equal(project_to_simplex(rows[:1].expand(4, -1)), expected[:1].expand(4, -1))
    assert project_to_simplex(torch.empty(0, 5)).shape == (0, 5)


def test_gradient_of_the_projection_is_the_projection_onto_its_face() -> None:
    # Inside a face, an offset common to its entries is taken away; entries at 0 do not move.
    rows = torch.tensor([0.6, 0.5, -3.0], dtype=torch.float64, requires_grad=True)
    expected = torch.tensor([[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]], dtype=torch.float64)
    found = torch.autograd.functional.jacobian(project_to_simplex, rows)
    torch.testing.assert_close(found, expected)


def test_another_device_is_not_waited_for() -> None:
    # A mask there cannot be looked at.
    rows = torch.empty(2, 3, device="meta")
    projected = project_to_simplex(rows, torch.ones(2, 3, dtype=torch.bool, device="meta"))
    assert projected.device.type == "meta"
    assert projected.shape == (2, 3)
