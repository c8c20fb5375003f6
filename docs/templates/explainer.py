"""Template of an explainer: the gradient of the class's logit by the image."""

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import SegmentationTarget


@register_explainer("input_gradient")
class InputGradient(AttributionMethod):
    """The gradient of a class's logit by the image, summed over the colour channels.

    Args:
        model: Model to explain.

    Example:
        >>> explainer = InputGradient(nn.Conv2d(3, 5, 1))
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> explainer(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1])).map.shape
        torch.Size([2, 8, 8])
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__("input_gradient", model)

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return a map (B, H, W) of each image, and no units.

        Args:
            images: Images (B, 3, H, W), normalised as the model requires.
            region: Pixels to explain, bool (B, H, W).
            class_index: Class of each image, int64 (B,).
        """
        images.requires_grad_()
        logits = SegmentationTarget(self.model)(images, region, class_index)
        (gradient,) = torch.autograd.grad(logits.sum(), images)
        return gradient.sum(1), None
