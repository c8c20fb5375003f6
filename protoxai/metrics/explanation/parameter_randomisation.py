"""Parameter randomisation: whether an explanation depends on what the model has learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.metrics.base.bootstrap import Estimate, estimate
from protoxai.metrics.base.checks import check_batch
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.rank_correlation import spearman
from protoxai.runtime.modes import evaluating


def randomisation_layers(model: nn.Module, steps: int | None = None) -> tuple[tuple[str, ...], ...]:
    """Return the model's layers from the top down: in the reverse order of their definition.

    A layer is a module with parameters of its own, prototypes and heads included.

    Args:
        model: any.
        steps: None: every layer is a step of its own. A number: the last layer alone, then the
            others in so many blocks (less one) of nearly equal size, for deep models.

    Returns:
        The names of the modules of each step.

    Raises:
        ValueError: if there is no layer, or ``steps`` is below 1.

    Example:
        >>> from torch import nn
        >>> randomisation_layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
        (('2',), ('0',))
    """
    names = [name for name, module in model.named_modules() if module._parameters][::-1]
    if not names or (steps is not None and steps < 1):
        raise ValueError(
            f"{len(names)} layers with parameters, steps is {steps}: expected at least 1 of each"
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

    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3. Randomised is a
    layer whose parameters are shuffled, each within itself: what was learnt is lost, but not the
    values' distribution, whatever the kind of layer (a group's weights stay on the simplex; a
    parameter whose values are all equal, as of an untrained normalisation, stays). The model is as
    before afterwards.

    Args:
        model: the model that is explained.
        explain: from images (B, 3, H, W) and the arguments to maps (B, H, W), by this very model.
        images: normalised.
        arguments: tensors (B, ...) that belong to the images: the regions and the classes, fixed
            from the original model.
        original: the original model's maps (B, H, W), if they are known already.
        layers: names of the modules of each step; None: ``randomisation_layers(model)``.
        seed: of the shuffling.

    Returns:
        Spearman's rank correlation with the original map (B, steps), in [-1, 1]; NaN where a map is
        constant.

    Raises:
        ValueError: if there are not as many maps as images, or no layer.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 1, 1)
        >>> images = torch.rand(2, 3, 4, 4)
        >>> parameter_randomisation(model, lambda x: x.sum(1), images)
        tensor([[1.], [1.]], dtype=torch.float64)
    """
    layers = randomisation_layers(model) if layers is None else layers
    if original is not None:
        check_batch(images=images, original=original)
    with _restored(model), evaluating(model):
        maps = explain(images, *arguments) if original is None else original
        before = maps.detach().flatten(1)
        generator = torch.Generator().manual_seed(seed)
        columns = []
        for names in layers:
            for name in names:
                _shuffle(model.get_submodule(name), generator)
            changed = explain(images, *arguments).detach().flatten(1)
            pairs = zip(before, changed, strict=True)
            columns.append(torch.stack([spearman(one, other) for one, other in pairs]))
    return torch.stack(columns, 1)


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
            # Within a group, and the padding stays where it is: behind the members.
            keys = torch.rand(parameter.shape, generator=generator).to(parameter.device)
            order = keys.masked_fill(~module.member_mask, 2).argsort(-1)
            parameter.copy_(parameter.gather(-1, order))
        else:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


class ParameterRandomisation(PerImageMetric):
    """Mean over layers of the correlation with the randomised model's explanations.

    Lower is better: an explanation that does not change does not show what the model has learnt.
    See :func:`parameter_randomisation`; :meth:`per_layer` has each layer's own.

    Args:
        layers: names of the modules of each step, from :func:`randomisation_layers`.
        options: of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 1, 1)
        >>> metric = ParameterRandomisation(randomisation_layers(model))
        >>> metric.update(model, lambda x: x.sum(1), torch.rand(2, 3, 4, 4))
        >>> float(metric.compute())
        1.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"parameter_randomisation": False}
    higher_is_better = False

    def __init__(self, layers: Sequence[Sequence[str]], **options: Any) -> None:
        super().__init__(**options)
        self.layers = tuple(tuple(names) for names in layers)
        self._width = len(self.layers)

    def update(
        self,
        model: nn.Module,
        explain: Callable[..., Tensor],
        images: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
        original: Tensor | None = None,
    ) -> None:
        """Take in images (B, 3, H, W), the model, and its explainer with the arguments.

        Args:
            model: see :func:`parameter_randomisation`.
            explain: likewise.
            images: normalised.
            arguments: likewise.
            index: data set index of each image.
            original: likewise.
        """
        numbers = self._numbers(index, len(images))
        options: dict[str, Any] = {"layers": self.layers, "seed": self.seed}
        rows = parameter_randomisation(
            model, explain, images, arguments, original=original, **options
        )
        self._keep(numbers, rows)

    def per_layer(self) -> dict[str, Estimate]:
        """Return the correlation after each step, by the name of its last module."""
        rows = self.per_image()[1]
        return {
            names[-1]: estimate(column, resamples=self.resamples, seed=self.seed)
            for names, column in zip(self.layers, rows.T, strict=True)
        }

    def _estimates(self, rows: Tensor) -> dict[str, Estimate]:
        return super()._estimates(rows.nanmean(1, keepdim=True))
