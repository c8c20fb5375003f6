"""Group weights stay on the simplex in loops that know nothing of it."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.optimizer import Optimizer
from torch.optim.swa_utils import AveragedModel

from protoxai import PrototypeTable, ScaleProtoSeg, SparseGroupHead, project_to_simplex
from protoxai.losses import group_cross_entropy_loss, group_entropy_loss, scale_max_loss
from tests.cases import UNEVEN
from tests.toys import SMALL, Trunk

SUMS_BELOW_1 = torch.tensor([[0.25, 0.5, 0.0], [0.0, 0.0, 0.75]])


def small_head() -> SparseGroupHead:
    return SparseGroupHead(PrototypeTable([0, 0, 1], [0, 1, 0], 2, 2), num_groups=1)


def thresholded_head() -> SparseGroupHead:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    head.threshold_(0.3)
    # Some rows have lost a weight, so that a projection would be noticed.
    assert (head.group_weights().sum(1) < 0.9).any()
    return head


def assert_on_simplex(head: SparseGroupHead) -> None:
    weights = head.group_weights().detach()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))


def loss_of(head: SparseGroupHead, forward: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    activations = torch.rand(2, len(head.table), 3, 3)
    labels = torch.randint(0, head.num_classes, (2, 3, 3))
    logits = head(activations) if forward is None else forward(activations)
    return nn.functional.cross_entropy(logits, labels) + group_entropy_loss(head)


# --- optimizers


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda parameters: SGD(parameters, lr=1.0, momentum=0.9),
    "adam": lambda parameters: Adam(parameters, lr=0.3),
    "adamw, foreach": lambda parameters: AdamW(parameters, lr=0.3, weight_decay=0.1, foreach=True),
    "rmsprop": lambda parameters: RMSprop(parameters, lr=0.3),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_plain_loop_stays_finite_and_on_the_simplex(kind: str) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    optimizer = OPTIMIZERS[kind](head.parameters())
    start = head.group_weights().detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(head)
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
        # The parameter itself is on the simplex, not only what is read from it.
        parameter = head.group_parameter.detach()
        assert torch.equal(head.padded_weights().detach(), parameter)
        assert_on_simplex(head)
    assert not torch.equal(head.group_weights(), start)


def test_a_step_ends_with_the_nearest_point_of_the_simplex() -> None:
    head = small_head()
    head.set_group_weights(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    # Both weights of class 0 fall, so that neither is negative and their sum is below 1.
    head.group_parameter.grad = torch.tensor([[[0.2, 0.1]], [[0.0, 0.0]]])
    SGD([head.group_parameter], lr=1.0).step()
    expected = project_to_simplex(torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(head.group_weights(0)[0].detach(), expected)


def test_a_closure_sees_weights_on_the_simplex() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    optimizer = torch.optim.LBFGS(head.parameters(), lr=1.0, max_iter=4)
    activations, labels = torch.rand(2, 8, 3, 3), torch.randint(0, 5, (2, 3, 3))
    losses = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(activations), labels) + group_entropy_loss(head)
        loss.backward()
        losses.append(loss.detach())
        return loss

    for _ in range(3):
        optimizer.step(closure)
        assert_on_simplex(head)
    assert len(losses) > 3
    assert torch.stack(losses).isfinite().all()


def test_a_step_within_a_step() -> None:
    class Twice(SGD):
        def step(self, closure: None = None) -> None:
            super().step()
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.sub_(0.4)

    head = SparseGroupHead(UNEVEN, num_groups=2)
    optimizer = Twice(head.parameters(), lr=0.1)
    for _ in range(2):
        loss_of(head).backward()
        optimizer.step()
        assert torch.equal(head.padded_weights().detach(), head.group_parameter.detach())
        assert_on_simplex(head)


def test_a_step_that_fails_leaves_nothing_behind() -> None:
    def fail() -> Tensor:
        raise RuntimeError("the batch is broken")

    head = SparseGroupHead(UNEVEN, num_groups=2)
    optimizer = SGD(head.parameters(), lr=1.0)
    with pytest.raises(RuntimeError, match="the batch is broken"):
        optimizer.step(fail)
    loss_of(head).backward()
    optimizer.step()
    assert_on_simplex(head)


def test_rows_that_no_step_changes_stay_as_given() -> None:
    for freeze in ("other parameters", "no gradient", "zero gradient", "zero rate"):
        head = thresholded_head()
        given = head.group_weights().detach().clone()
        parameters = [head.weight] if freeze == "other parameters" else list(head.parameters())
        head.group_parameter.requires_grad_(freeze != "no gradient")
        optimizer = SGD(parameters, lr=0.0 if freeze == "zero rate" else 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(head).backward()
            if freeze == "zero gradient":
                head.group_parameter.grad.zero_()
            optimizer.step()
        assert torch.equal(head.group_weights(), given), freeze


def test_a_step_projects_only_the_rows_that_it_changes() -> None:
    head = small_head()
    head.set_group_weights(SUMS_BELOW_1)
    head.group_parameter.grad = torch.tensor([[[0.1, 0.0]], [[0.0, 0.0]]])
    SGD([head.group_parameter], lr=1.0).step()
    assert head.group_weights(0).sum().item() == pytest.approx(1)
    assert head.group_weights(1).item() == 0.75


def test_a_compiled_head_trains_on_the_simplex() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
    optimizer = Adam(head.parameters(), lr=0.3)
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_of(head, compiled)
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
        assert torch.equal(head.padded_weights().detach(), head.group_parameter.detach())
        assert_on_simplex(head)


def test_a_compiled_step_projects() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    optimizer = SGD(head.parameters(), lr=torch.tensor(1.0))
    step = torch.compile(optimizer.step, backend="eager")
    for _ in range(2):
        loss_of(head).backward()
        step()
        assert torch.equal(head.padded_weights().detach(), head.group_parameter.detach())
        assert_on_simplex(head)


def test_a_scaler_that_skips_a_step_changes_nothing() -> None:
    head = thresholded_head()
    given = head.group_weights().detach().clone()
    optimizer = SGD(head.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(head) * torch.inf).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(head.group_weights(), given)
    optimizer.zero_grad()
    scaler.scale(loss_of(head)).backward()
    scaler.step(optimizer)
    assert_on_simplex(head)


def test_a_whole_model_trains_in_a_plain_loop() -> None:
    model = ScaleProtoSeg(Trunk(), 3, **SMALL).group(2)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.3)
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 3, (2, 4, 4))
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images).logits, labels)
        loss = loss + group_entropy_loss(model.head) + scale_max_loss(model.head)
        loss = loss + group_cross_entropy_loss(model.head)
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
    assert_on_simplex(model.head)


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
