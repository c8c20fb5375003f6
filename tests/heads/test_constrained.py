"""Group weights stay on the simplex in loops that know nothing of it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.optimizer import Optimizer

from protoxai import ScaleProtoSeg, SparseGroupHead, project_to_simplex
from protoxai.losses import group_cross_entropy_loss, group_entropy_loss, scale_max_loss
from tests.cases import UNEVEN
from tests.heads.constrained_heads import (
    SUMS_BELOW_1,
    assert_on_simplex,
    loss_of,
    small_head,
    thresholded_head,
)
from tests.toys import SMALL, Trunk

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
