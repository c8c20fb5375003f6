"""The prototype layer: distances and activations of all prototypes at every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protoxai.kernels import activation, compare
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import Range, flag, number, whole
from protoxai.runtime.precision import widen, without_autocast
from protoxai.runtime.tensors import tensor

DIM = Range(least=1, most=100_000)


class PrototypeOutput(NamedTuple):
    """Distances and activations of all prototypes at every pixel.

    Attributes:
        distances: Squared distances ``d`` (B, P, h, w), at least 0.
        activations: ``log((d + 1) / (d + epsilon))`` (B, P, h, w), in [0, log(1 / epsilon)].
    """

    distances: Tensor
    activations: Tensor


class MultiScalePrototypeLayer(nn.Module):
    """Compares every pixel's embedding at each scale with the prototypes of that scale.

    It computes in float32 or wider, with autocast disabled. Source: Porta et al., WACV 2025
    (arXiv 2409.09497), section 3; the activation is ProtoPNet's (arXiv 1806.10574, section 2.1).

    Args:
        table: Class and scale of each of the P prototypes.
        dim: Length D of an embedding vector.
        epsilon: Constant in (0, 1) that bounds the activation by ``log(1 / epsilon)``.
        bounded: Whether :meth:`clamp_`, called after every optimizer step, keeps the prototypes in
            [0, 1], the range of the embedding. The released code does not bound them.

    Attributes:
        prototypes: Parameter (P, D), initialised uniformly in [0, 1).

    Example:
        >>> import torch
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=4)
        >>> layer = MultiScalePrototypeLayer(table, dim=8)
        >>> layer(torch.rand(1, 3, 8, 5, 6)).activations.shape
        torch.Size([1, 24, 5, 6])
    """

    _order: Tensor | None

    def __init__(
        self, table: PrototypeTable, dim: int, epsilon: float = 1e-4, bounded: bool = False
    ) -> None:
        super().__init__()
        check_table(table)
        self.epsilon = number("epsilon", epsilon, Range(above=0, below=1))
        self.bounded = flag("bounded", bounded)
        self.prototypes = nn.Parameter(torch.rand(len(table), whole("dim", dim, DIM)))
        self._set_table(table)

    @property
    def table(self) -> PrototypeTable:
        """Class and scale of each prototype."""
        return self._table

    @property
    def dim(self) -> int:
        """Length D of an embedding vector."""
        return self.prototypes.shape[1]

    def forward(self, embedding: Tensor) -> PrototypeOutput:
        """Compare embeddings with the prototypes.

        Args:
            embedding: Embedding vector of each pixel at each scale, (B, S, D, h, w).

        Returns:
            Squared distances and activations, (B, P, h, w) each.

        Raises:
            ValueError: If the embedding's shape does not fit the table and ``dim``.
        """
        check_embedding(embedding, self.table.num_scales, self.dim)
        with without_autocast(embedding):
            vectors, prototypes = widen(embedding, self.prototypes)
            return PrototypeOutput(
                *compare(vectors, prototypes, self.epsilon, self._scale_rows(), self._order)
            )

    def activation(self, distances: Tensor) -> Tensor:
        """Return ``log((d + 1) / (d + epsilon))``, which decreases in the distance ``d``."""
        tensor("distances", distances, meta=True)
        return activation(distances, self.epsilon)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Clamp the prototypes to [0, 1], in place, if the layer is ``bounded``."""
        if self.bounded:
            self.prototypes.clamp_(0, 1)

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all prototypes but the given ones, in place; ``prototypes`` becomes a new parameter.

        Args:
            indices: Indices of the prototypes to keep; their order stays.
        """
        index = self.table.check_kept(indices)
        kept = self.prototypes.detach()[index.to(self.prototypes.device)]
        self.prototypes = nn.Parameter(kept, requires_grad=self.prototypes.requires_grad)
        self._set_table(self.table.keep(index))

    def extra_repr(self) -> str:
        """Return the arguments of the layer."""
        bounded = ", bounded=True" if self.bounded else ""
        return f"{self.table}, dim={self.dim}, epsilon={self.epsilon}{bounded}"

    def _set_table(self, table: PrototypeTable) -> None:
        self._table = table.to("cpu")
        members = self._table.members("scale")
        rows = [row[own] for row, own in zip(members.indices, members.mask, strict=True)]
        by_scale = torch.cat(rows)
        device = self.prototypes.device
        for scale, row in enumerate(rows):
            self.register_buffer(f"_scale{scale}", row.to(device), persistent=False)
        # Reordering maps copies them, so it is skipped where scale by scale is the table's order.
        in_order = torch.equal(by_scale, torch.arange(len(by_scale)))
        order = None if in_order else by_scale.argsort().to(device)
        self.register_buffer("_order", order, persistent=False)

    def _scale_rows(self) -> list[Tensor]:
        """Return the indices of each scale's prototypes."""
        return [self.get_buffer(f"_scale{scale}") for scale in range(self.table.num_scales)]


def check_embedding(embedding: Tensor, num_scales: int, dim: int) -> None:
    """Raise an error if an embedding is not (B, S, D, h, w)."""
    tensor(
        "embedding",
        embedding,
        "batch scales channels height width",
        meta=True,
        hint="give one map per scale of the table, with `dim` channels",
        sizes={"scales": num_scales, "channels": dim},
    )
