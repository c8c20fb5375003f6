"""Parameter randomisation: dependence of an explanation on the model's parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.metrics.base.checks import (
    SEED,
    check_arguments,
    check_images,
    check_original,
    checked,
)
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.intervals import Estimate, estimate
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.rank_correlation import spearman
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.checks import did_you_mean, instance, positive, shown, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.wrappers import unwrapped

STEPS = 4
"""Steps in which a comparison randomises a model: one for each layer would take too long."""

PASSED = 0.2
"""Correlation after the last step below which an explanation passes."""


def randomisation_layers(model: nn.Module, steps: int | None = None) -> tuple[tuple[str, ...], ...]:
    """Return the model's layers from the top down, in the reverse order of their definition.

    A layer is a module with parameters of its own, prototypes and heads included.

    Args:
        model: Model.
        steps: Number of steps, for deep models: the last layer alone, then the others in blocks of
            nearly equal size. None for a step for each layer.

    Returns:
        Names of the modules of each step.

    Raises:
        ValueError: If there is no layer, or ``steps`` is below 1.

    Example:
        >>> from torch import nn
        >>> randomisation_layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
        (('2',), ('0',))
    """
    model = instance("model", unwrapped(model), nn.Module)
    steps = None if steps is None else positive("steps", steps)
    names = [
        name
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ][::-1]
    if not names:
        raise ValueError(
            f"the model {shown(model)} has no layers with parameters, expected at least one"
        )
    if steps is None or steps >= len(names):
        return tuple((name,) for name in names)
    if steps == 1:
        return (tuple(names),)
    rest = len(names) - 1
    ends = [1 + rest * step // (steps - 1) for step in range(steps)]
    return (tuple(names[:1]), *(tuple(names[a:b]) for a, b in pairwise(ends)))


def parameter_randomisation(
    model: nn.Module,
    explain: Callable[..., Tensor],
    images: Tensor,
    arguments: Sequence[Tensor] = (),
    *,
    original: Tensor | None = None,
    layers: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
) -> Tensor:
    """Correlate explanations with those of the model randomised layer by layer, cascading.

    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3. A layer is
    randomised by shuffling the values within each of its parameters, which keeps their
    distribution in any kind of layer (a group's weights stay on the simplex; a parameter whose
    values are all equal, as in an untrained normalisation, does not change). The model is restored
    afterwards.

    Args:
        model: Model that is explained.
        explain: Function of images (B, 3, H, W) and the arguments that returns maps (B, H, W) of
            this very model.
        images: Normalised images (B, 3, H, W).
        arguments: Tensors (B, ...) that belong to the images: the regions and the classes, fixed
            from the original model.
        original: Maps (B, H, W) of the original model, if they are known already.
        layers: Names of the modules of each step; None for ``randomisation_layers(model)``.
        seed: Seed of the shuffling.

    Returns:
        Absolute value of Spearman's rank correlation with the original map (B, steps), in [0, 1];
        NaN where a map is constant.

    Raises:
        ValueError: If there are not as many maps as images, or no layer.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 1, 1)
        >>> images = torch.rand(2, 3, 4, 4)
        >>> parameter_randomisation(model, lambda x: x.sum(1), images)
        tensor([[1.], [1.]], dtype=torch.float64)
    """
    model = instance("model", unwrapped(model), nn.Module)
    layers = randomisation_layers(model) if layers is None else _check_layers(layers)
    modules = [[_module(model, name) for name in names] for names in layers]
    count = check_images(images)
    check_arguments(arguments, count)
    check_original(original, images)
    seed = whole("seed", seed, SEED)
    explain = checked("explain", explain, "images height width")
    with _restored(model), evaluating(model):
        maps = explain(images, *arguments) if original is None else original
        before = maps.detach().flatten(1)
        generator = torch.Generator().manual_seed(seed)
        columns = []
        for step in modules:
            for module in step:
                _shuffle(module, generator)
            changed = explain(images, *arguments).detach().flatten(1)
            pairs = zip(before, changed, strict=True)
            columns.append(torch.stack([spearman(one, other).abs() for one, other in pairs]))
    return torch.stack(columns, 1)


def _check_layers(layers: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    lists = [layers, *layers] if isinstance(layers, Sequence) else []
    if not lists or not all(
        isinstance(e, Sequence) and e and not isinstance(e, str) for e in lists
    ):
        raise TypeError(
            f"layers are {shown(layers)}, expected a list of names for each step, as of "
            "randomisation_layers(model)"
        )
    for name in (name for names in layers for name in names):
        if not isinstance(name, str):
            raise TypeError(f"layers hold {shown(name)}, expected names of the model's modules")
    return tuple(tuple(names) for names in layers)


def _module(model: nn.Module, name: str) -> nn.Module:
    known = dict(model.named_modules())
    if name not in known:
        raise ValueError(
            f"layers hold {shown(name)}, which the model lacks{did_you_mean(name, known)}"
        )
    module: nn.Module = known[name]
    return module


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    saved = [(parameter, parameter.detach().clone()) for parameter in model.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in saved:
                parameter.copy_(value)


@torch.no_grad()
def _shuffle(module: nn.Module, generator: torch.Generator) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if isinstance(module, SparseGroupHead) and name == "group_parameter":
            # Weights are shuffled within a group; the padding stays behind the members.
            keys = torch.rand(parameter.shape, generator=generator).to(parameter.device)
            order = keys.masked_fill(~module.member_mask, 2).argsort(-1)
            parameter.copy_(parameter.gather(-1, order))
        else:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


@register_metric("parameter_randomisation")
class ParameterRandomisation(PerImageMetric):
    """Correlation with the explanations of the model once all its layers are randomised.

    This is a check and not a ranking (Binder et al., "Shortcomings of top-down
    randomization-based sanity checks", CVPR 2023): ``randomisation_passed`` is the share of images
    whose correlation is below 0.2 after the last step; an explanation that does not change does not
    depend on the parameters. See :func:`parameter_randomisation`; :meth:`per_layer` returns the
    correlation after each step.

    Args:
        layers: Names of the modules of each step, from :func:`randomisation_layers`.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 1, 1)
        >>> metric = ParameterRandomisation(randomisation_layers(model))
        >>> metric.update(model, lambda x: x.sum(1), torch.rand(2, 3, 4, 4))
        >>> float(metric.compute()["randomisation_passed"])
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "parameter_randomisation": None,
        "randomisation_passed": None,
    }
    shares: ClassVar[tuple[str, ...]] = ("randomisation_passed",)
    higher_is_better = None

    def __init__(self, layers: Sequence[Sequence[str]], **options: Any) -> None:
        super().__init__(**options)
        self.layers = _check_layers(layers)
        self._width = len(self.layers)

    @classmethod
    def for_model(cls, model: nn.Module, *, seed: int = 0) -> Self:
        """Return the metric for a model's layers, in few steps.

        Args:
            model: Model that is explained.
            seed: Seed of the metric.
        """
        return cls(randomisation_layers(model, STEPS), seed=seed)

    def update(
        self,
        model: nn.Module,
        explain: Callable[..., Tensor],
        images: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
        original: Tensor | None = None,
    ) -> None:
        """Add images, the model, and its explainer with the arguments.

        Args:
            model: Model that is explained.
            explain: Function of images (B, 3, H, W) and the arguments that returns maps (B, H, W)
                of this very model.
            images: Normalised images (B, 3, H, W).
            arguments: Tensors (B, ...) that belong to the images: the regions and the classes.
            index: Data set index of each image.
            original: Maps (B, H, W) of the original model, if they are known already.
        """
        correlations = parameter_randomisation(
            model,
            explain,
            images,
            arguments,
            original=original,
            layers=self.layers,
            seed=self.seed,
        )
        self.add_values(correlations, index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task; the explainer runs again on the randomised model."""
        self.update(
            explained.model,
            explained.explain,
            explained.image,
            explained.arguments,
            index=explained.index,
            original=explained.map,
        )

    def per_layer(self) -> dict[str, Estimate]:
        """Return the correlation after each step, by the name of its last module."""
        with self.sync_context():
            rows = self._unique_rows()[1]
        return {
            names[-1]: estimate(correlations)
            for names, correlations in zip(self.layers, rows.T, strict=True)
        }

    def _values_of(self, rows: Tensor) -> Tensor:
        last = rows[:, -1]
        passed = (last < PASSED).to(last.dtype).masked_fill(last.isnan(), torch.nan)
        return torch.stack([last, passed], 1)
