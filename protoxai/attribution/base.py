"""Base of the explainers: checks, evaluation mode and cost around one public method."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from protoxai.attribution.cost import Cost, Meter
from protoxai.attribution.target import check_tasks
from protoxai.runtime.checks import instance
from protoxai.runtime.modes import evaluating
from protoxai.runtime.representation import call_repr
from protoxai.runtime.wrappers import unwrapped


@dataclass(frozen=True)
class Attribution:
    """Contributions of pixels and units to a class's logit, averaged over a region.

    Attributes:
        map: Signed contribution of each pixel, (B, H, W) at the images' size; NaN throughout for
            an empty region.
        units: Signed evidence E_j of each unit, (B, U); None if the explainer has no units.
        cost: Cost of the whole batch.
    """

    map: Tensor
    units: Tensor | None
    cost: Cost


class AttributionMethod(ABC):
    """Base of the explainers, which attribute a class's logit over a region to the image.

    A subclass implements :meth:`attribute`. Calling the explainer checks the arguments, switches
    the model to evaluation mode, measures the cost and marks empty regions. To make an explainer
    available by name, see :func:`~protoxai.attribution.register_explainer`.

    Args:
        name: Name of the explainer in tables.
        model: Model to explain.

    Attributes:
        reference: Whether the maps explain nothing and only show what an explainer has to surpass;
            a class attribute.

    Example:
        >>> import torch
        >>> from protoxai.attribution import SegmentationTarget
        >>> class InputGradient(AttributionMethod):
        ...     def __init__(self, model):
        ...         super().__init__("input gradient", model)
        ...     def attribute(self, images, region, class_index):
        ...         images.requires_grad_()
        ...         logits = SegmentationTarget(self.model)(images, region, class_index)
        ...         (gradient,) = torch.autograd.grad(logits.sum(), images)
        ...         return gradient.sum(1), None
        >>> explainer = InputGradient(torch.nn.Conv2d(3, 5, 1))
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> explainer(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1])).map.shape
        torch.Size([2, 8, 8])
    """

    reference: ClassVar[bool] = False

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name = name
        self.model = instance("model", unwrapped(model), nn.Module)

    def __call__(self, images: Tensor, region: Tensor, class_index: Tensor) -> Attribution:
        """Explain a class over a region of each image, with the model in evaluation mode.

        An image's explanation does not depend on the other images of the batch.

        Args:
            images: Floating-point images (B, 3, H, W), normalised as the model requires.
            region: Pixels to explain, bool (B, H, W).
            class_index: Class of each image, int64 (B,).

        Returns:
            The attribution, detached.

        Raises:
            ValueError: If the shapes do not fit, or a class is not one of the model's.
            TypeError: If a type does not fit.
        """
        check_tasks(images, region, class_index)
        # Tensors made in inference mode cannot be differentiated, so they are cloned outside of it.
        with torch.inference_mode(False):
            arguments = images.detach().clone(), region.clone(), class_index.cpu().clone()
            with evaluating(self.model), Meter(self.model, images.device) as meter:
                maps, units = self.attribute(*arguments)
        empty = ~region.flatten(1).any(1)
        maps = maps.detach().masked_fill(empty[:, None, None], torch.nan)
        if units is not None:
            units = units.detach().masked_fill(empty[:, None], torch.nan)
        return Attribution(maps, units, meter.cost)

    @abstractmethod
    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the map of each image and, if the explainer has units, their evidence.

        The arguments have been checked and may be changed in place; gradients may be computed. The
        values for an empty region do not matter.

        Args:
            images: Floating-point images (B, 3, H, W), without gradient.
            region: Pixels to explain, bool (B, H, W).
            class_index: Class of each image, int64 (B,), on the CPU.

        Returns:
            Maps (B, H, W), and the evidence (B, U) of U units or None.
        """

    def __repr__(self) -> str:
        names = inspect.signature(type(self)).parameters
        return call_repr(self, **{n: getattr(self, n) for n in names if hasattr(self, n)})
