"""Prototypes of a class at the places of an image where they are most active."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.attribution import prototype_evidence, region_weights
from protoxai.kernels import exact_squared_distances
from protoxai.metrics.prototype.adversary import lowered
from protoxai.metrics.prototype.shown_regions import box_overlaps, shown_regions
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.precision import widen

BOUND = 8 / 255
"""Largest change of a colour in [0, 1] by the adversary."""


class PrototypePeaks:
    """Activations of a class's prototypes at their peaks in one image, and in changed ones.

    Prototypes are chosen by their places (m,) in the list; each has an image of its own then.

    Args:
        model: Model in evaluation mode.
        output: Its output for the image.
        region: Pixels of the class, at least one on the feature grid, bool (H, W).
        prototypes: Indices of the prototypes (n,).

    Attributes:
        shown: Peaks and regions of the prototypes.
        activations: Activation of each prototype at its peak, (n,).
        ranks: Rank by evidence of each prototype among all of them, from 0, (n,).
    """

    def __init__(
        self, model: ScaleProtoSeg, output: SegmentationOutput, region: Tensor, prototypes: Tensor
    ) -> None:
        self._model, self._region, self._prototypes = model, region, prototypes
        maps = output.activations[0, prototypes]
        self._weights = region_weights(region, (maps.shape[1], maps.shape[2]))
        self.shown = shown_regions(maps, region)
        everyone = torch.arange(len(prototypes))
        same = output.embedding.expand(len(prototypes), -1, -1, -1, -1)
        self.activations = self._at_peaks(same, everyone)
        self.ranks = self._ranks(output)[0]

    @torch.no_grad()
    def remaining(self, images: Tensor, chosen: Tensor) -> Tensor:
        """Return the share (m,) of the chosen prototypes' activations that images leave."""
        return self._at_peaks(self._model.embed(images), chosen) / self.activations[chosen]

    def attacked(self, images: Tensor, changeable: Tensor, chosen: Tensor, steps: int) -> Tensor:
        """Let an adversary lower the activations.

        Args:
            images: Images (m, C, H, W).
            changeable: Pixels that may change, bool (m, H, W).
            chosen: Places of the prototypes (m,).
            steps: Number of steps.

        Returns:
            Share of the activation that is lost, 1 - IoU of the regions shown before and after, and
            change of the rank over the number of other prototypes (NaN without any), (3, m).
        """
        mean, std = (torch.tensor(values) for values in (self._model.mean, self._model.std))
        changed = lowered(
            lambda tried: self._at_peaks(self._model.embed(tried), chosen),
            images,
            changeable,
            bound=BOUND / std,
            low=-mean / std,
            high=(1 - mean) / std,
            steps=steps,
        )
        with torch.no_grad():
            output = self._model(changed)
            lost = 1 - self._at_peaks(output.embedding, chosen) / self.activations[chosen]
        own = torch.arange(len(chosen))
        maps = output.activations[own, self._prototypes[chosen]]
        before = [self.shown.boxes[place] for place in chosen.tolist()]
        overlaps = box_overlaps(before, shown_regions(maps, self._region).boxes)
        shift = (self._ranks(output)[own, chosen] - self.ranks[chosen]).abs().to(lost)
        return torch.stack([lost, 1 - overlaps.to(lost), shift / (len(self._prototypes) - 1)])

    def _at_peaks(self, embedding: Tensor, chosen: Tensor) -> Tensor:
        """Return activations (m,), each in an embedding of its own (m, S, D, h, w)."""
        layer, own = self._model.prototype_layer, self._prototypes[chosen]
        scales = self._model.table.scale_index[own.cpu()]
        rows, cols = self.shown.rows[chosen], self.shown.cols[chosen]
        vectors = embedding[torch.arange(len(chosen)), scales, :, rows, cols]
        vectors, prototypes = widen(vectors, layer.prototypes.detach()[own])
        return layer.activation(exact_squared_distances(vectors, prototypes))

    def _ranks(self, output: SegmentationOutput) -> Tensor:
        """Return the rank of each prototype in each image of an output, int64 (B, n)."""
        class_index = int(self._model.table.class_index[self._prototypes[0].cpu()])
        evidence = prototype_evidence(self._model.head, output, class_index)[:, self._prototypes]
        means = (evidence * self._weights.to(evidence)).sum((2, 3))
        return (means[:, None] > means[:, :, None]).sum(2)
