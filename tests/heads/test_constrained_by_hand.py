"""Group weights stay on the simplex in copies of a head, and after updates by hand."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.swa_utils import AveragedModel

from protoxai import SparseGroupHead, project_to_simplex
from protoxai.losses import group_cross_entropy_loss, group_entropy_loss, scale_max_loss
from tests.cases import UNEVEN
from tests.heads.constrained_heads import (
    SUMS_BELOW_1,
    assert_on_simplex,
    loss_of,
    small_head,
    thresholded_head,
)

# --- copies


def pickled(head: SparseGroupHead) -> SparseGroupHead:
    file = io.BytesIO()
    torch.save(head, file)
    file.seek(0)
    result: SparseGroupHead = torch.load(file, weights_only=False)
    return result


def loaded(head: SparseGroupHead) -> SparseGroupHead:
    twin = SparseGroupHead(head.table, head.num_groups)
    twin.load_state_dict(head.state_dict())
    return twin


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": pickled,
    "load_state_dict": loaded,
    "to double and back": lambda head: head.double().float(),
    "average": lambda head: AveragedModel(head).module,
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_keep_thresholded_weights_and_train_on_the_simplex(kind: str) -> None:
    head = thresholded_head()
    given = head.group_weights().detach().clone()
    twin = COPIES[kind](head)
    twin(torch.rand(1, 8, 2, 2))
    group_entropy_loss(twin)
    assert torch.equal(twin.group_weights(), given)
    assert torch.equal(twin.state_dict()["group_parameter"], head.group_parameter)
    optimizer = SGD(twin.parameters(), lr=1.0)
    loss_of(twin).backward()
    optimizer.step()
    assert torch.equal(twin.padded_weights().detach(), twin.group_parameter.detach())
    assert_on_simplex(twin)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_to_a_coarser_type_is_no_update(dtype: torch.dtype) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=50)
    rounded = head.group_parameter.detach().to(dtype)
    head.to(dtype)
    head(torch.rand(1, 8, 2, 2))
    assert torch.equal(head.group_parameter, rounded)
    head.float()
    head(torch.rand(1, 8, 2, 2))
    assert torch.equal(head.group_parameter, rounded.float())


def test_heads_disappear_with_their_last_user() -> None:
    from protoxai.heads import constrained

    head = SparseGroupHead(UNEVEN)
    assert head in constrained._heads
    number = len(constrained._heads)
    del head
    assert len(constrained._heads) < number


# --- updates by hand


def subtract_(parameter: nn.Parameter, value: Tensor) -> None:
    with torch.no_grad():
        parameter.sub_(value)


def subtract_data_(parameter: nn.Parameter, value: Tensor) -> None:
    parameter.data -= value


USES: dict[str, Callable[[SparseGroupHead], object]] = {
    "forward": lambda head: head(torch.rand(1, 3, 2, 2)),
    "scores": lambda head: head.scores(torch.rand(1, 3, 2, 2)),
    "all weights": lambda head: head.group_weights(),
    "weights of a class": lambda head: head.group_weights(0),
    "saving": lambda head: head.state_dict(),
    "entropy": group_entropy_loss,
    "cross-entropy": group_cross_entropy_loss,
    "largest of a scale": scale_max_loss,
    "threshold": lambda head: head.threshold_(0.0),
    "used prototypes": lambda head: head.used_prototypes(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("update", [subtract_, subtract_data_])
def test_an_update_by_hand_is_projected_at_the_next_use(
    use: str, update: Callable[[nn.Parameter, Tensor], None]
) -> None:
    head = small_head()
    head.set_group_weights(SUMS_BELOW_1)
    update(head.group_parameter, torch.tensor([[[0.5, -0.3]], [[0.0, 0.0]]]))
    USES[use](head)
    expected = project_to_simplex(torch.tensor([-0.25, 0.8]))
    torch.testing.assert_close(head.group_parameter[0, 0].detach(), expected)
    assert head.group_parameter[1, 0, 0] == 0.75


def test_a_loop_by_hand_stays_finite() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    for _ in range(4):
        loss = loss_of(head)
        assert loss.isfinite()
        gradient, _ = torch.autograd.grad(loss, [head.group_parameter, head.weight])
        with torch.no_grad():
            head.group_parameter -= gradient
            head.project_to_simplex_()
    assert_on_simplex(head)


@pytest.mark.parametrize("excess", [2e-6, 0.1])
def test_a_sum_above_1_is_projected(excess: float) -> None:
    head = small_head().double()
    head._tolerance = 1e-6
    head.set_group_weights(SUMS_BELOW_1.double())
    with torch.no_grad():
        head.group_parameter[0, 0] = torch.tensor([0.5, 0.5 + excess])
    assert head.group_weights(0).sum().item() == pytest.approx(1, abs=1e-12)


def test_on_other_devices_values_are_read_only_after_a_write(device: torch.device) -> None:
    head = small_head().to(device)
    head.set_group_weights(SUMS_BELOW_1)
    head.group_weights()
    subtract_(head.group_parameter, torch.tensor([[[0.5, -0.3]], [[0.0, 0.0]]], device=device))
    expected = project_to_simplex(torch.tensor([-0.25, 0.8]))
    torch.testing.assert_close(head.group_weights(0)[0].detach().cpu(), expected)


def test_heads_made_in_inference_mode_can_be_used_outside_of_it() -> None:
    with torch.inference_mode():
        head = SparseGroupHead(UNEVEN)
    with torch.no_grad():
        assert_on_simplex(head)
        assert head(torch.rand(1, 8, 2, 2)).isfinite().all()


def test_a_compiled_head_projects_updates_by_hand() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
    activations = torch.rand(1, 8, 2, 2)
    compiled(activations)
    subtract_data_(head.group_parameter, torch.rand_like(head.group_parameter) * 3)
    logits = compiled(activations)
    gradient = torch.autograd.grad(logits.sum(), [head.group_parameter])
    expected = head(activations)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected.sum(), [head.group_parameter])
    )
