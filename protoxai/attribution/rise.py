"""RISE: the mean of random masks, weighted by the score of the image under them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.captum_methods import PERTURBED_AT_ONCE
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import SegmentationTarget
from protoxai.runtime.checks import Range, number, whole
from protoxai.runtime.resize import resize

COUNT, SEED = Range(least=1), Range(least=0)
PROBABILITY = Range(above=0, below=1)


@register_explainer("RISE")
class RISE(AttributionMethod):
    """How high the class's softmax is, on average, under the masks that show a pixel.

    A mask is a grid of random cells, shown with a given probability, which is enlarged bilinearly
    and shifted at random by up to a cell; it multiplies the image, so that hidden pixels have the
    mean colour, 0. The map is the mean over the masks of the mask times the score of the masked
    image, divided by the probability. The score is the softmax, averaged over the region, since
    the method requires one in [0, 1]: a constant added to the score would add the masks' mean to
    the map. Petsiuk et al., BMVC 2018 (arXiv 1806.07421), equation 6.

    The error falls with the root of the number of masks; the paper takes 4,000 to 8,000. All images
    have the same masks, which depend on the seed and the size alone. The memory is that of a
    forward pass of 8 images or of the batch, whichever is larger.

    Args:
        model: Any segmentation model that :class:`SegmentationTarget` accepts.
        masks: Number of masks, each a forward pass.
        cells: Number of rows and columns of a mask's grid.
        probability: Probability of a cell to be shown, in (0, 1).
        seed: Seed of the masks.

    Raises:
        ValueError: If a number is out of its range.

    Example:
        >>> import torch
        >>> explainer = RISE(torch.nn.Conv2d(3, 5, 1), masks=20)
        >>> region = torch.ones(2, 16, 16, dtype=torch.bool)
        >>> attribution = explainer(torch.rand(2, 3, 16, 16), region, torch.tensor([4, 1]))
        >>> attribution.map.shape, attribution.cost.forward_passes
        (torch.Size([2, 16, 16]), 40)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        masks: int = 1000,
        cells: int = 7,
        probability: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__("RISE", model)
        self.masks = whole("masks", masks, COUNT)
        self.cells = whole("cells", cells, COUNT)
        self.probability = number("probability", probability, PROBABILITY)
        self.seed = whole("seed", seed, SEED)
        self.target = SegmentationTarget(self.model, output="softmax")

    @torch.no_grad()
    def attribute(self, images: Tensor, region: Tensor, class_index: Tensor) -> tuple[Tensor, None]:
        """Return the map of each image (B, H, W)."""
        total = torch.zeros_like(images[:, 0])
        for masks in self._masks(images.shape[2:], max(PERTURBED_AT_ONCE // len(images), 1)):
            masks = masks.to(images)
            masked = (images[:, None] * masks[:, None]).flatten(0, 1)
            tasks = (each.repeat_interleave(len(masks), 0) for each in (region, class_index))
            scores = self.target(masked, *tasks).unflatten(0, (len(images), len(masks)))
            total += torch.einsum("bn,nhw->bhw", scores, masks)
        return total / (self.masks * self.probability), None

    def _masks(self, size: torch.Size, at_once: int) -> Iterator[Tensor]:
        """Yield masks (n, H, W) in [0, 1], the same whatever their number at once."""
        generator = torch.Generator().manual_seed(self.seed)
        side = self.cells
        # Rounded up, so that the shifted mask covers the image.
        cell = tuple(-(-length // side) for length in size)
        shape = self.masks, 1, side, side
        grids = (torch.rand(shape, generator=generator) < self.probability).float()
        shifts = [
            torch.randint(length, (self.masks,), generator=generator).tolist() for length in cell
        ]
        enlarged = torch.Size((side + 1) * length for length in cell)
        for start in range(0, self.masks, at_once):
            large = resize(grids[start : start + at_once], enlarged)[:, 0]
            places = zip(*(each[start : start + at_once] for each in shifts), strict=True)
            yield torch.stack(
                [
                    mask[row : row + size[0], col : col + size[1]]
                    for mask, (row, col) in zip(large, places, strict=True)
                ]
            )
