"""What every attribution method is: a question about a batch in, maps and units out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from protoxai.attribution.cost import Cost, Meter
from protoxai.attribution.target import check_question
from protoxai.runtime.modes import evaluating


@dataclass(frozen=True)
class Attribution:
    """What each pixel and each unit contributed to a class's logit, averaged over a region.

    Attributes:
        map: (B, H, W), signed, at the images' size; NaN throughout for an empty region.
        units: (B, U), the evidence E_j of each unit, signed; None where the method has no units.
        cost: of the whole batch.
    """

    map: Tensor
    units: Tensor | None
    cost: Cost


class AttributionMethod(ABC):
    """Explains why a model gives regions their class.

    Args:
        name: what tables call the method.
        model: the model explained.
    """

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name = name
        self.model = model

    def __call__(self, images: Tensor, region: Tensor, class_index: Tensor) -> Attribution:
        """Explain a class over a region of each image, with the model in evaluation mode.

        An image's explanation does not depend on the batch it came in.

        Args:
            images: floating point (B, 3, H, W), as the model takes them.
            region: bool (B, H, W), the pixels to explain.
            class_index: int64 (B,), the class of each image.

        Returns:
            The attribution, detached.

        Raises:
            ValueError: if the shapes do not fit, or a class is not one of the model's.
            TypeError: if a type does not.
        """
        check_question(images, region, class_index)
        # What was made in inference mode cannot be differentiated.
        with torch.inference_mode(False):
            question = images.detach().clone(), region.clone(), class_index.cpu().clone()
            with evaluating(self.model), Meter(self.model, images.device) as meter:
                maps, units = self._explain(*question)
        empty = ~region.flatten(1).any(1)
        maps = maps.detach().masked_fill(empty[:, None, None], torch.nan)
        if units is not None:
            units = units.detach().masked_fill(empty[:, None], torch.nan)
        return Attribution(maps, units, meter.cost)

    @abstractmethod
    def _explain(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the map (B, H, W) and, where there are units, their evidence (B, U).

        The classes are on the CPU, where checking their range waits for no device.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {type(self.model).__name__})"
