"""Patches of training images as the prototypes of a model that has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai.attribution.layers import find_layer, hookable
from protoxai.labels import check_labels, labels_at
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.batches import check_iterable, labelled_images
from protoxai.runtime.checks import NOT_NEGATIVE, instance, whole, wholes_of
from protoxai.runtime.finite import check_images
from protoxai.runtime.modes import evaluating
from protoxai.runtime.precision import full_precision_einsum, widen
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped


class ExamplePrototypes(nn.Module):
    """Prototypes of any model: the features of random training patches, compared by their cosine.

    It is the example-based baseline for a prototype model: the patches of other images that are
    nearest to a patch in the features of a black box are an explanation too, which
    :class:`~protoxai.metrics.PrototypePurity` measures in the same units. For each prototype of a
    table one feature pixel is drawn, without replacement, among those whose label is the
    prototype's class.

    Args:
        model: Model whose features are compared; it runs in evaluation mode.
        loader: Batches of training images, with "image" (B, 3, H, W), normalised as the model
            requires, "labels" (B, H', W') and, if known, "index" (data set indices). Several
            processes have to pass the same images.
        table: Class of each prototype, such as the table of the model to compare with.
        layer: Layer whose output is compared, a module or its name; None for the last map of the
            model's ``backbone`` or ``encoder``.
        seed: Seed of the draw.
        ignore_index: Label of pixels that do not count.

    Attributes:
        features: Feature (P, D) of each prototype, of length 1; NaN if its class has too few
            pixels.
        places: Data set index, row and column of each prototype's patch, int64 (P, 3), or -1.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a batch does not fit or there is none, or the model has no such layer.
        NotFiniteError: If an image is NaN or infinite.

    Example:
        >>> import torch
        >>> from protoxai import LinearSegmenter, PrototypeTable
        >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2)
        >>> loader = [{"image": torch.rand(4, 3, 32, 40), "labels": torch.ones(4, 32, 40).long()}]
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=1, per_scale=3)
        >>> examples = ExamplePrototypes(model, loader, table)
        >>> examples(torch.rand(1, 3, 32, 40)).shape
        torch.Size([1, 6, 4, 5])
    """

    features: Tensor
    places: Tensor

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Mapping[str, Any]],
        table: PrototypeTable,
        layer: str | nn.Module | None = None,
        *,
        seed: int = 0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.model = instance("model", unwrapped(model), nn.Module)
        self.table = check_table(table).to("cpu")
        self.layer = layer
        find_layer(self.model, layer)
        draw = _Draw(self.table, whole("seed", seed, NOT_NEGATIVE))
        count = 0
        for batch in check_iterable("loader", loader):
            images, labels = labelled_images("loader", batch)
            check_labels(labels, table.num_classes, ignore_index, name="loader: labels")
            check_images(images, batch.get("id"))
            numbers = batch.get("index", range(count, count + len(images)))
            indices = wholes_of('loader: "index"', numbers, len(images), NOT_NEGATIVE)
            count += len(images)
            maps = self._maps(images).cpu()
            on_grid = labels_at(labels.cpu(), (maps.shape[2], maps.shape[3]))
            for one in zip(maps, on_grid, indices, strict=True):
                draw.add(*one)
        if draw.features is None:
            raise ValueError("loader: got no batch, expected labelled training images")
        self.register_buffer("features", draw.features)
        self.register_buffer("places", draw.places)

    def forward(self, images: Tensor) -> Tensor:
        """Return the cosine of each feature pixel with each prototype.

        Args:
            images: Images (B, 3, H, W), normalised as the model requires.

        Returns:
            Maps (B, P, h, w), in [-1, 1]; NaN for a prototype without a patch.
        """
        maps = self._maps(images)
        return full_precision_einsum(maps, self.features.to(maps), "b d h w, p d -> b p h w")

    @torch.no_grad()
    def _maps(self, images: Tensor) -> Tensor:
        """Return the features (B, D, h, w) of the full images, each pixel's of length 1."""
        tensor("images", images, "batch channels height width", sizes={"channels": 3})
        device = next((p.device for p in self.model.parameters()), images.device)
        found: list[Tensor] = []
        with evaluating(self.model), hookable(self.model, find_layer(self.model, self.layer)) as to:
            # Of several input scales the full image is the first.
            to[0].register_forward_hook(lambda _module, _inputs, output: found.append(output))
            self.model(images.to(device))
        (maps,) = widen(found[0])
        return F.normalize(maps, dim=1)


class _Draw:
    """Random feature pixels of each class, drawn while images are added in any order.

    Attributes:
        features: Feature (P, D) of each prototype, NaN before it has a pixel; None without images.
        places: Data set index, row and column of each prototype's pixel, (P, 3), or -1.
    """

    def __init__(self, table: PrototypeTable, seed: int) -> None:
        self.features: Tensor | None = None
        self.places = torch.full((len(table), 3), -1)
        # Every pixel has a random key, and the pixels of the smallest keys are kept.
        self._keys = torch.full((len(table),), torch.inf, dtype=torch.float64)
        self._class_index, self._seed = table.class_index, seed

    def add(self, maps: Tensor, labels: Tensor, index: int) -> None:
        """Add an image: its features (D, h, w), labels (h, w) and data set index."""
        if self.features is None:
            self.features = maps.new_full((len(self._keys), len(maps)), torch.nan)
        generator = torch.Generator().manual_seed(self._seed + index)
        keys = torch.rand(labels.shape, generator=generator, dtype=torch.float64)
        for class_index in self._class_index.unique().tolist():
            own = (self._class_index == class_index).nonzero()[:, 0]
            rows, cols = (labels == class_index).nonzero(as_tuple=True)
            all_keys = torch.cat([self._keys[own], keys[rows, cols]])
            places = torch.stack([torch.full_like(rows, index), rows, cols], 1)
            features = torch.cat([self.features[own], maps[:, rows, cols].T])
            kept = all_keys.argsort(stable=True)[: len(own)]
            self._keys[own] = all_keys[kept]
            self.places[own] = torch.cat([self.places[own], places])[kept]
            self.features[own] = features[kept]
