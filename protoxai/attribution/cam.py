"""Class activation maps beside Captum's Grad-CAM, on any segmentation model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.layers import find_layer, has_trunk, hookable, map_on_image
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import SegmentationTarget
from protoxai.runtime.checks import Range, choice, whole
from protoxai.runtime.representation import call_repr

WINDOW = Range(least=1)


class CamAttribution(AttributionMethod):
    """A class activation map: a weighted sum of the channels of a layer's feature map.

    With the features A_k of channel k, and the gradient G_k of the class's logit, averaged over the
    region, the map at cell u is

    - "GradCAM++": the sum over k of w_k A_k(u), with w_k the sum over cells of
      relu(G_k) / (2 + G_k sum_v A_k(v)). It takes the features to be rectified. Chattopadhay et
      al., WACV 2018 (arXiv 1710.11063), equations 10 and 19; the factor exp(score), which an image
      has in all its weights, is left out.
    - "HiResCAM": the sum over k of G_k(u) A_k(u), which is also LayerGradientXActivation. If the
      logit is linear in the features, it is what each cell contributes. If it depends only on their
      mean over all cells, it is Grad-CAM. Draelos and Carin, arXiv 2011.08891.
    - "Seg-XRes-CAM": the same with G_k averaged within windows of cells. Windows of one cell make
      it HiResCAM, a window of the whole map makes it Grad-CAM. Hasany et al., CVPR Workshops 2023
      (arXiv 2304.09604), equation 5, with the mean as pooling and the nearest cell as upsampling.
    - "EigenCAM": the projection of A(u) onto the first right singular vector of the features
      (cells x channels), with the sign that makes the map's sum positive. It depends neither on the
      class nor on the region. Muhammad and Yeasin, IJCNN 2020 (arXiv 2008.00299).

    The maps are signed: they are not rectified at the end, as those of
    :class:`~protoxai.attribution.CaptumAttribution` are not. They are resized bilinearly and
    divided by the enlargement. If the model calls the layer at several scales, they add up.

    The memory is that of one forward and backward pass of the batch.

    Args:
        name: "GradCAM++", "HiResCAM", "Seg-XRes-CAM" or "EigenCAM".
        model: Any segmentation model that :class:`SegmentationTarget` accepts.
        layer: Module of the model, or its name; None: ``backbone`` or ``encoder``. Of several maps
            that it returns, the last or the one named "out" is used.
        window: Side of the windows of Seg-XRes-CAM, in cells.

    Raises:
        ValueError: If the name or the layer is unknown, or the window is not positive.

    Example:
        >>> import torch
        >>> trunk = torch.nn.Conv2d(3, 8, 4, stride=4)
        >>> model = torch.nn.Sequential(trunk, torch.nn.Conv2d(8, 5, 1))
        >>> explainer = CamAttribution("HiResCAM", model, layer=trunk)
        >>> region = torch.ones(2, 16, 16, dtype=torch.bool)
        >>> explainer(torch.rand(2, 3, 16, 16), region, torch.tensor([4, 1])).map.shape
        torch.Size([2, 16, 16])
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        layer: str | nn.Module | None = None,
        window: int = 4,
    ) -> None:
        super().__init__(choice("name", name, CAMS), model)
        self.kind = name
        self._given_layer = layer
        self.layer = find_layer(self.model, layer)
        self.window = whole("window", window, WINDOW)
        self.target = SegmentationTarget(self.model)

    def __repr__(self) -> str:
        return call_repr(
            self, name=self.kind, model=self.model, layer=self._given_layer, window=self.window
        )

    def attribute(self, images: Tensor, region: Tensor, class_index: Tensor) -> tuple[Tensor, None]:
        """Return the map of each image (B, H, W)."""
        with (
            torch.set_grad_enabled(self.kind != "EigenCAM"),
            hookable(self.model, self.layer, _Recorder) as recorders,
        ):
            scores = self.target(images.requires_grad_(), region, class_index)
            features = [cast(Tensor, recorder.features) for recorder in recorders]
            if self.kind == "EigenCAM":
                return map_on_image([_eigen_cam(each) for each in features], images.shape[2:]), None
            gradients = torch.autograd.grad(scores.sum(), features, materialize_grads=True)
        pairs = zip(features, gradients, strict=True)
        maps = [_WEIGHTED[self.kind](each.detach(), slope, self.window) for each, slope in pairs]
        return map_on_image(maps, images.shape[2:]), None


class _Recorder(nn.Module):
    """Identity that keeps its last input."""

    features: Tensor

    def forward(self, features: Tensor) -> Tensor:
        self.features = features
        return features


def _grad_cam_plus_plus(features: Tensor, gradients: Tensor, _window: int) -> Tensor:
    total = features.sum((2, 3), keepdim=True)
    alpha = 1 / (2 + gradients * total)
    return (alpha * gradients.relu()).sum((2, 3), keepdim=True) * features


def _hi_res_cam(features: Tensor, gradients: Tensor, _window: int) -> Tensor:
    return gradients * features


def _seg_x_res_cam(features: Tensor, gradients: Tensor, window: int) -> Tensor:
    height, width = gradients.shape[2:]
    sides = min(window, height), min(window, width)
    # At the lower and right edges the windows are those parts that lie on the map.
    means = F.avg_pool2d(gradients, sides, ceil_mode=True, count_include_pad=False)
    pooled = means.repeat_interleave(sides[0], 2).repeat_interleave(sides[1], 3)
    return pooled[:, :, :height, :width] * features


def _eigen_cam(features: Tensor) -> Tensor:
    cells = features.flatten(2).mT
    first = torch.linalg.svd(cells, full_matrices=False).Vh[:, :1]
    projection = (first @ cells.mT).unflatten(2, features.shape[2:])
    total = projection.sum((2, 3), keepdim=True)
    return torch.where(total < 0, -projection, projection)


_WEIGHTED: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "GradCAM++": _grad_cam_plus_plus,
    "HiResCAM": _hi_res_cam,
    "Seg-XRes-CAM": _seg_x_res_cam,
}
CAMS = (*_WEIGHTED, "EigenCAM")
"""Names of the class activation maps."""

for _name in CAMS:
    register_explainer(_name, applies_to=has_trunk)(partial(CamAttribution, _name))
