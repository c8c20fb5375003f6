"""Refitting of the last layer: the exact optimum over cached activations, in seconds."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.labels import check_ignore_index
from protoxai.losses.cross_entropy import check_class_weight, read_class_weight
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.batches import Batches, embedded
from protoxai.projection.cells import SampledCells
from protoxai.projection.last_layer_fit import LastLayerProblem
from protoxai.runtime.checks import AT_LEAST_ONE, NOT_NEGATIVE, instance, number, whole
from protoxai.runtime.finite import check_finite_weights
from protoxai.runtime.modes import evaluating
from protoxai.runtime.wrappers import unwrapped

CELLS = 30_000
OFF_CLASS_L1 = 1e-3


@dataclass(frozen=True)
class CellScores:
    """How well a last layer fits the cells.

    Attributes:
        loss: Cross-entropy plus the weighted off-class L1, at least 0.
        pixel_accuracy: Share of the labelled cells that are predicted correctly, in [0, 1].
        mean_iou: Mean intersection over union of the classes that occur, in [0, 1].
    """

    loss: float
    pixel_accuracy: float
    mean_iou: float


@dataclass(frozen=True)
class RefitRecord:
    """A model with a new last layer, and what that changed on the cells that it was fitted to.

    Attributes:
        model: The new model.
        before: Scores of the last layer that it had.
        after: Scores of the new one; its loss is never higher.
        cells: Number of cells that were fitted.
        labelled_cells: Number of labelled cells of all images.
        steps: Number of steps of the solver.
        converged: Whether the optimum is reached: its conditions hold to 1e-6, or a hundred steps
            lower the loss by less than 1e-7.
    """

    model: ScaleProtoSeg
    before: CellScores
    after: CellScores
    cells: int
    labelled_cells: int
    steps: int
    converged: bool

    def __str__(self) -> str:
        before, after = self.before, self.after
        accuracy = f"{100 * before.pixel_accuracy:.2f} -> {100 * after.pixel_accuracy:.2f}"
        iou = f"{100 * before.mean_iou:.2f} -> {100 * after.mean_iou:.2f}"
        end = f"optimum {'reached' if self.converged else 'not reached'} after {self.steps} steps"
        return (
            f"loss {before.loss:.4f} -> {after.loss:.4f}, pixel accuracy {accuracy}, mIoU {iou} on "
            f"{self.cells} of {self.labelled_cells} cells of the feature grid; {end}"
        )


@torch.no_grad()
def refit_last_layer(
    model: ScaleProtoSeg,
    loader: Batches,
    *,
    off_class_l1: float = OFF_CLASS_L1,
    class_weight: Tensor | Sequence[float] | None = None,
    ignore_index: int = 255,
    cells: int = CELLS,
    seed: int = 0,
) -> RefitRecord:
    """Return a new model whose last layer is the best for the prototypes, or groups, as they are.

    It minimises the cross-entropy plus the off-class L1 of the training, over cells of the feature
    grid. All other parts stay as they are, the weights of groups too: as functions of the last
    layer alone, both terms are convex, so there are no local optima to end in. Weights for a unit's
    own class stay at least 0, so that what speaks for a class never comes to speak against it. Each
    image passes through the model once. Source: the last-layer optimisation
    of Chen et al., ProtoPNet, NeurIPS 2019 (arXiv 1806.10574), section 2.2; after edits, Donnelly
    et al., Proto-RSet, CVPR 2025, and Bontempelli et al., ProtoPDebug, ICLR 2023 (arXiv
    2205.15769).

    If there are more labelled cells than ``cells``, each class keeps a uniform random sample, rare
    classes all of their cells, and a cell counts as many times as it stands for others. Memory is
    about 4 bytes for each cell and unit (prototype in stage 1, group in stage 2). If
    ``torch.distributed`` is initialised, the cells of all processes count, each of them keeps
    ``cells`` while images pass, and all return the same weights.

    Args:
        model: Model in either stage; it stays as it is.
        loader: Batches of training images as :func:`project_prototypes` takes them, uncropped.
        off_class_l1: Weight of the L1 term; 1e-3 is that of most recipes' second stage.
        class_weight: Weight of each class (C,), by which its cells count in the mean; None for 1.
        ignore_index: Label of pixels that do not count.
        cells: Largest number of cells to fit; at least one of each class counts.
        seed: Seed of the choice of cells.

    Returns:
        The record, with the new model.

    Raises:
        TypeError: If an argument is of another kind, or the model has no prototypes.
        ValueError: If a batch or a number does not fit, or no cell is labelled.
        NotFiniteError: If a weight, an image or an embedding is NaN or infinite.

    Warns:
        UserWarning: If a class with prototypes never occurs; its weights are unlearned.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> batch = (torch.rand(2, 3, 32, 40), torch.randint(0, 2, (2, 32, 40)))
        >>> record = refit_last_layer(model.without([3]), [batch])
        >>> record.after.loss < record.before.loss, len(record.model.table)
        (True, 23)
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg, "its prototypes are needed")
    check_finite_weights(model)
    off_class_l1 = number("off_class_l1", off_class_l1, NOT_NEGATIVE)
    ignore_index = check_ignore_index(ignore_index, model.num_classes)
    importance = read_class_weight(class_weight)
    if importance is not None:
        check_class_weight(importance, model.num_classes)
    sample = SampledCells(
        model.num_classes, whole("cells", cells, AT_LEAST_ONE), whole("seed", seed, NOT_NEGATIVE)
    )
    with evaluating(model):
        _collect(sample, model, loader, ignore_index)
    if sample.units is None:
        raise ValueError(
            "loader: no cell of the feature grid has a label that counts: check the labels and "
            "ignore_index"
        )
    counts = sample.weights()
    if importance is not None:
        importance = importance.double()[sample.labels] * counts
        if not bool(importance.any()):
            raise ValueError(
                "class_weight is 0 for all classes that occur: give one of them a weight above 0"
            )
    _warn_of_absent_classes(model, sample)
    return _refit(model, sample, counts, counts if importance is None else importance, off_class_l1)


def _warn_of_absent_classes(model: ScaleProtoSeg, sample: SampledCells) -> None:
    absent = [c for c in model.table.classes.tolist() if not sample.counts[c]]
    if absent:
        names = [model.class_names[c] if model.class_names else str(c) for c in absent]
        warnings.warn(
            f"no labelled cell has class {', '.join(names)}: what speaks for it is unlearned, so "
            "that it is no longer predicted: refit on images of all classes",
            stacklevel=4,
        )


def _collect(
    sample: SampledCells, model: ScaleProtoSeg, loader: Batches, ignore_index: int
) -> None:
    """Add the labelled cells of all images to the sample."""
    for batch in embedded(model, loader, ignore_index, "loader"):
        labels = batch.on_grid.flatten().cpu().long()
        labelled = (labels != ignore_index).nonzero().flatten()
        vectors = rearrange(batch.embedding, "b s d h w -> (b h w) s d")
        vectors = vectors[labelled.to(vectors.device)]
        sample.update(labels[labelled], partial(_units, model, vectors))
    sample.merge_processes()


def _units(model: ScaleProtoSeg, vectors: Tensor, chosen: Tensor) -> Tensor:
    """Return the units (k, U) of the last layer for the chosen ones of vectors (n, S, D)."""
    embedding = rearrange(vectors[chosen.to(vectors.device)], "k s d -> 1 s d k 1")
    units = model.prototype_layer(embedding).activations
    if isinstance(model.head, SparseGroupHead):
        units = model.head.scores(units)
    values: Tensor = rearrange(units, "1 u k 1 -> k u")
    return values


def _refit(
    model: ScaleProtoSeg,
    sample: SampledCells,
    counts: Tensor,
    importance: Tensor,
    off_class_l1: float,
) -> RefitRecord:
    """Return the record of a model whose last layer is fitted to the cells."""
    head, units = model.head, sample.units
    assert units is not None
    device = units.device
    problem = LastLayerProblem(
        units=units,
        labels=sample.labels.to(device),
        importance=(importance / importance.sum()).to(device),
        own=head.own_class(),
        tied=head.last_layer == "tied",
        off_class_l1=off_class_l1,
    )
    solution = problem.solve(head.weight)
    before = _scores(problem, head.weight, counts)
    refitted = copy.deepcopy(model)
    refitted.head.weight.copy_(solution.weight)
    after = _scores(problem, refitted.head.weight, counts)
    if not after.loss < before.loss:
        # The weights were the optimum to their own precision.
        refitted.head.weight.copy_(head.weight)
        after = before
    labelled = int(sample.counts.sum())
    return RefitRecord(
        refitted, before, after, len(units), labelled, solution.steps, solution.converged
    )


def _scores(problem: LastLayerProblem, weight: Tensor, counts: Tensor) -> CellScores:
    """Return the scores of weights, where each cell counts as many times as given."""
    classes = len(problem.own)
    pairs = (problem.labels * classes + problem.predictions(weight)).cpu()
    confusion = torch.bincount(pairs, counts, classes**2).view(classes, classes)
    hits = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hits
    iou = (hits / union)[union > 0]
    return CellScores(problem.loss(weight), float(hits.sum() / counts.sum()), float(iou.mean()))
