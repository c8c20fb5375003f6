import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from torch import Tensor

from protoxai import ScaleProtoSeg
from protoxai.labels import labels_at
from protoxai.losses import ScaleProtoSegLoss, off_class_l1_loss
from protoxai.projection import refit_last_layer
from tests.toys import random_batch, small_model

OFF_CLASS_L1 = 0.02
# So low that off-class weights remain.
LOW_L1 = {"dense": 1e-3, "tied": 2e-4}


def model_of(*, grouped: bool, last_layer: str = "dense") -> ScaleProtoSeg:
    torch.manual_seed(3)
    model = small_model(last_layer=last_layer, prototypes_per_scale=1).double()
    if grouped:
        model.group(2).double()
    return model


def batches(count: int = 2, void: bool = True) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        images = torch.randn(2, 3, 16, 20, generator=generator).double()
        labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
        images += labels.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
        if void:
            labels[0, 0] = 255
        index = torch.tensor([2 * number, 2 * number + 1])
        made.append({"image": images, "labels": labels, "index": index})
    return made


def loss_of(model: ScaleProtoSeg, data: list[dict[str, Tensor]], **options: Any) -> float:
    """The loss of the training over all cells, by the model's own output."""
    images, labels = (torch.cat([batch[name] for batch in data]) for name in ("image", "labels"))
    criterion = ScaleProtoSegLoss(
        cross_entropy=1.0, prototype_diversity=0, off_class_l1=OFF_CLASS_L1, **options
    )
    with torch.no_grad():
        return float(criterion(model.eval()(images), labels, model.head)["loss"])


# --- the optimum


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("last_layer", ["dense", "tied"])
def test_the_losses_are_those_of_the_training(grouped: bool, last_layer: str) -> None:
    model, data = model_of(grouped=grouped, last_layer=last_layer), batches()
    record = refit_last_layer(model, data, off_class_l1=OFF_CLASS_L1)
    assert record.converged
    assert record.before.loss == pytest.approx(loss_of(model, data), rel=1e-12)
    assert record.after.loss == pytest.approx(loss_of(record.model, data), rel=1e-12)
    assert record.after.loss < record.before.loss


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("last_layer", ["dense", "tied"])
def test_the_optimum_is_that_of_an_independent_solver(grouped: bool, last_layer: str) -> None:
    model, data = model_of(grouped=grouped, last_layer=last_layer), batches()
    images, labels = (torch.cat([batch[name] for batch in data]) for name in ("image", "labels"))
    with torch.no_grad():
        output = model.eval()(images)
    units = output.group_scores if grouped else output.activations
    shape, own = model.head.weight.shape, own_weights(model)
    labelled = labels.flatten() != 255
    cells = units.permute(0, 2, 3, 1).flatten(0, 2)[labelled]

    def loss(weight: Tensor) -> Tensor:
        """The definition, with autograd; an epigraph variable stands for each |weight|."""
        head = copy.deepcopy(model.head)
        del head.weight
        head.weight = weight.view(shape)
        logits = head.class_weights() @ cells.T
        return torch.nn.functional.cross_entropy(logits.T, labels.flatten()[labelled])

    count = int(np.prod(shape))
    factor = LOW_L1[last_layer] * (2 if last_layer == "tied" else 1)
    price = factor * (~own).double().flatten().numpy()

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        weight = torch.from_numpy(point[:count]).requires_grad_()
        value = loss(weight)
        (slope,) = torch.autograd.grad(value, weight)
        return float(value.detach()) + price @ point[count:], np.concatenate([slope.numpy(), price])

    eye = np.eye(count)
    above = LinearConstraint(np.block([[-eye, eye], [eye, eye]]), 0, np.inf)
    positive = LinearConstraint(
        np.hstack([eye[own.flatten().numpy()], np.zeros((int(own.sum()), count))]), 0, np.inf
    )
    start = np.concatenate([np.ones(count), np.ones(count)])
    found = minimize(
        objective,
        start,
        jac=True,
        method="SLSQP",
        constraints=[above, positive],
        options={"maxiter": 2000, "ftol": 1e-13},
    )
    assert found.success
    record = refit_last_layer(model, data, off_class_l1=LOW_L1[last_layer])
    assert record.after.loss == pytest.approx(found.fun, abs=1e-6)
    assert (record.model.head.weight[own] >= 0).all()
    assert (record.model.head.weight[~own] != 0).any()


def own_weights(model: ScaleProtoSeg) -> Tensor:
    if model.head.last_layer == "dense":
        return model.head.own_class()
    return torch.tensor([[True], [False]]).expand(model.head.weight.shape)


def test_a_strong_penalty_leaves_no_off_class_weight() -> None:
    model = model_of(grouped=True)
    record = refit_last_layer(model, batches(), off_class_l1=1e3)
    # Its variables are bounded by 0, so it is exact.
    assert off_class_l1_loss(record.model.head) == 0


@pytest.mark.parametrize("grouped", [False, True])
def test_a_second_refit_finds_nothing_better(grouped: bool) -> None:
    data = batches()
    once = refit_last_layer(model_of(grouped=grouped), data)
    twice = refit_last_layer(once.model, data)
    assert once.after.loss - 1e-6 < twice.after.loss <= once.after.loss


def test_own_weights_below_0_may_stay_so() -> None:
    model = model_of(grouped=False)
    model.head.weight.data[model.head.own_class()] = -0.1
    record = refit_last_layer(model, batches())
    assert record.after.loss < record.before.loss
    assert (record.model.head.weight[model.head.own_class()] >= -0.1 - 1e-12).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_class_weights_count_as_in_the_training(grouped: bool) -> None:
    weights = torch.tensor([1.0, 0.2, 3.0])
    model, data = model_of(grouped=grouped), batches()
    record = refit_last_layer(model, data, off_class_l1=OFF_CLASS_L1, class_weight=weights)
    expected = loss_of(record.model, data, class_weight=weights)
    assert record.after.loss == pytest.approx(expected, rel=1e-6)
    plain = refit_last_layer(model, data, off_class_l1=OFF_CLASS_L1)
    assert expected < loss_of(plain.model, data, class_weight=weights)


# --- the record


def test_scores_are_those_of_the_cells() -> None:
    model, data = model_of(grouped=True), batches()
    record = refit_last_layer(model, data)
    for scored, scores in ((model, record.before), (record.model, record.after)):
        hits, unions, labelled = [0, 0, 0], [0, 0, 0], 0
        for batch in data:
            found = scored.eval()(batch["image"]).logits.argmax(1)
            for c in range(3):
                counted = batch["labels"] != 255
                one, other = (found == c) & counted, batch["labels"] == c
                hits[c] += int((one & other).sum())
                unions[c] += int((one | other).sum())
            labelled += int(counted.sum())
        assert scores.pixel_accuracy == pytest.approx(sum(hits) / labelled)
        iou = [hit / union for hit, union in zip(hits, unions, strict=True) if union]
        assert scores.mean_iou == pytest.approx(sum(iou) / len(iou))
    assert record.cells == record.labelled_cells == labelled
    assert f"on {labelled} of {labelled} cells of the feature grid; optimum reached" in str(record)


@pytest.mark.parametrize("grouped", [False, True])
def test_only_the_last_layer_changes_and_only_in_the_new_model(grouped: bool) -> None:
    model = model_of(grouped=grouped).train()
    before = copy.deepcopy(model.state_dict())
    record = refit_last_layer(model, batches())
    assert record.model.training
    assert model.training
    after = record.model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
        assert torch.equal(value, after[name]) is (name != "head.weight"), name
    assert record.model.head.weight.requires_grad


def test_single_precision_is_never_worse() -> None:
    data = [{**batch, "image": batch["image"].float()} for batch in batches()]
    record = refit_last_layer(model_of(grouped=True).float(), data)
    for _ in range(3):
        again = refit_last_layer(record.model, data)
        assert again.after.loss <= again.before.loss
        record = again
    assert record.model.head.weight.dtype == torch.float32


# --- the cells


def test_a_sample_is_by_class_and_reproducible() -> None:
    model, data = model_of(grouped=True), batches(6)
    first = refit_last_layer(model, data, off_class_l1=1, cells=40)
    assert 35 <= first.cells <= 40 < first.labelled_cells
    again = refit_last_layer(model, data, off_class_l1=1, cells=40)
    assert torch.equal(first.model.head.weight, again.model.head.weight)
    other = refit_last_layer(model, data, off_class_l1=1, cells=40, seed=1)
    assert not torch.equal(first.model.head.weight, other.model.head.weight)
    one_by_one = [{k: v[[i]] for k, v in batch.items()} for batch in data for i in range(2)]
    split = refit_last_layer(model, one_by_one, off_class_l1=1, cells=40)
    torch.testing.assert_close(split.model.head.weight, first.model.head.weight)


def test_threads_do_not_matter() -> None:
    model, data, threads = model_of(grouped=False), batches(), torch.get_num_threads()
    weights = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            weights.append(refit_last_layer(model, data, off_class_l1=0.1).model.head.weight)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*weights)


def test_tuples_serve_too() -> None:
    record = refit_last_layer(small_model(), [random_batch()], off_class_l1=1)
    assert record.labelled_cells == 4 * 4 * 5


def test_labels_are_sampled_on_the_grid() -> None:
    model = model_of(grouped=False)
    batch = batches(1, void=False)[0]
    large = batch["labels"].repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert torch.equal(labels_at(large, (4, 5)), batch["labels"])
    first, second = (
        refit_last_layer(model, [{**batch, "labels": given}]) for given in (large, batch["labels"])
    )
    assert torch.equal(first.model.head.weight, second.model.head.weight)


# --- errors


def test_nothing_labelled() -> None:
    batch = batches(1)[0]
    with pytest.raises(ValueError, match="no cell of the feature grid has a label that counts"):
        refit_last_layer(model_of(grouped=False), [{**batch, "labels": batch["labels"] * 0 + 255}])


@pytest.mark.parametrize("grouped", [False, True])
def test_a_class_that_never_occurs_is_named(grouped: bool) -> None:
    model, batch = model_of(grouped=grouped), batches(1)[0]
    labels = batch["labels"].masked_fill(batch["labels"] == 1, 255)
    with pytest.warns(UserWarning, match="no labelled cell has class 1: .* unlearned"):
        refit_last_layer(model, [{**batch, "labels": labels}])


def test_no_class_that_occurs_has_a_weight() -> None:
    batch = batches(1, void=False)[0]
    with pytest.raises(ValueError, match="class_weight is 0 for all classes that occur"):
        refit_last_layer(
            model_of(grouped=False),
            [{**batch, "labels": batch["labels"] * 0}],
            class_weight=[0, 1, 1],
        )


# --- several processes


def refit_on_a_share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    try:
        share = batches(4)[:3] if rank == 0 else batches(4)[3:]
        record = refit_last_layer(model_of(grouped=True), share, off_class_l1=0.1)
        sample = refit_last_layer(model_of(grouped=True), share, off_class_l1=0.1, cells=40)
    finally:
        torch.distributed.destroy_process_group()
    weights = [each.model.head.weight.detach() for each in (record, sample)]
    numbers = [record.cells, record.labelled_cells, sample.cells, sample.labelled_cells]
    torch.save({"weights": weights, "numbers": numbers}, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_find_the_optimum_of_one(tmp_path: Path) -> None:
    expected = refit_last_layer(model_of(grouped=True), batches(4), off_class_l1=0.1)
    torch.multiprocessing.spawn(refit_on_a_share, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    torch.testing.assert_close(first["weights"][0], expected.model.head.weight.detach())
    for one, other in zip(first["weights"], second["weights"], strict=True):
        assert torch.equal(one, other)
    count = expected.labelled_cells
    assert first["numbers"] == second["numbers"]
    assert first["numbers"][:2] == [count, count]
    assert 35 <= first["numbers"][2] <= 40
    assert first["numbers"][3] == count
