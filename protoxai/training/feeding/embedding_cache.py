"""Embeddings of a frozen trunk, computed once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.utils.data import Dataset

from protoxai.labels import labels_at
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.modes import evaluating
from protoxai.training.feeding.loaders import Loader


class CachedEmbeddings(Dataset[Mapping[str, Tensor]]):
    """Embeddings (S, D, h, w) of images, with the labels on their grid, in memory.

    Args:
        model: Model whose trunk is frozen.
        loader: Batches of the images to embed.
    """

    def __init__(self, model: ScaleProtoSeg, loader: Loader) -> None:
        self._embeddings: list[Tensor] = []
        self._labels: list[Tensor] = []
        device = model.prototype_layer.prototypes.device
        with evaluating(model), torch.no_grad():
            for batch in loader:
                embedding = model.embed(batch["image"].to(device)).cpu()
                self._embeddings.extend(embedding)
                size = (embedding.shape[3], embedding.shape[4])
                self._labels.extend(labels_at(batch["labels"], size))

    def __len__(self) -> int:
        return len(self._embeddings)

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        return {"embedding": self._embeddings[index], "labels": self._labels[index]}
