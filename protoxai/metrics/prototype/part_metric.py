"""Base of the metrics of the parts that prototypes are active on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from protoxai.metrics.base.bootstrap import Statistic
from protoxai.metrics.base.intervals import Estimate, estimate
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.metrics.prototype.chance_hits import Scene, hits_of_others, scene_of
from protoxai.metrics.prototype.part_hits import check_part_class, check_scenes, hits_in
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.tensors import tensor

SCENES = {"scene_maps": torch.float32, "scene_labels": torch.int32, "scene_sizes": torch.int64}
"""States of the scenes, all of one dimension, since images and their maps differ in size."""
NUMBERS = 7
"""Numbers that precede the centroids of a scene: its index, the sizes of its maps and
labels, and how many centroids follow."""


class PartMetric(PerImageMetric):
    """Base of the metrics of the parts that prototypes are active on; higher is better.

    For the hits by chance every image's labels, centroids of parts and activations of the classes
    with parts are kept until ``reset()``.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        **options: Options of :class:`PerImageMetric`.
    """

    higher_is_better = True
    scene_maps: list[Tensor]
    scene_labels: list[Tensor]
    scene_sizes: list[Tensor]
    hits_per_pair = 1
    """Number of hits of each pair of a prototype and a part that are kept of an image."""

    def __init__(
        self,
        table: PrototypeTable,
        part_class: Sequence[int],
        active: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.table = check_table(table).to("cpu")
        self.part_class = check_part_class(part_class, table)
        self.active = active
        self._counted = check_active(active, len(table))
        self._prototype, self._part = self._pairs()
        # The last value is the image's index, by which its scene is found.
        self._width = self.hits_per_pair * len(self._part) + 1
        for name in SCENES:
            self.add_state(name, [], dist_reduce_fx="cat")

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Return the pairs of a prototype that counts and a part of its class."""
        belongs = self.table.class_index[:, None] == torch.tensor(self.part_class)
        belongs[:, 0] = False
        uncounted = torch.ones(len(self.table), dtype=torch.bool)
        uncounted[self._counted] = False
        belongs[uncounted] = False
        prototype, part = belongs.nonzero(as_tuple=True)
        return prototype, part

    def _add_scenes(
        self, maps: Sequence[Tensor], labels: Tensor, parts: Tensor, indices: Tensor
    ) -> None:
        """Add images.

        Args:
            maps: Activations (B, P, h, w), as many as ``hits_per_pair``. Those laid over other
                images are the last.
            labels: Labels (B, H, W).
            parts: Part number of every pixel (B, H, W).
            indices: Data set index of each image (B,).
        """
        for activations in maps:
            check_scenes(activations, labels, parts, self.table, self.part_class)
        rows = torch.zeros(len(indices), self._width, dtype=torch.float64)
        for row, index in enumerate(indices.tolist()):
            one = maps[-1][row], labels[row], parts[row], index + self.seed
            scene = scene_of(*one, self.table, self.part_class)
            hits = [self._own_hits(activations[row], scene) for activations in maps]
            rows[row] = torch.cat([*hits, torch.tensor([index])])
            self._keep(scene, index)
        self.add_values(rows, indices)

    def _own_hits(self, maps: Tensor, scene: Scene) -> Tensor:
        image = scene.labels, scene.centres, self.part_class, scene.seed
        return hits_in(maps.cpu(), self.table.class_index, *image)[self._prototype, self._part]

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hits (n, sets, pairs) in the rows, and those by chance (n, R, pairs)."""
        rows = rows.cpu()
        hits = rows[:, :-1].reshape(len(rows), self.hits_per_pair, len(self._part))
        scenes = dict(self._scenes())
        chosen = [scenes[index] for index in rows[:, -1].long().tolist()]
        others = hits_of_others(chosen, self.table, self.part_class)
        return hits, others[:, :, self._prototype, self._part].double()

    def _minus_chance(
        self,
        rows: Tensor,
        share: Statistic,
        chance: Statistic,
        groups: Sequence[Hashable] | None,
    ) -> dict[str, Estimate]:
        """Return the estimates of a share minus chance, of the share, and of chance, as figures."""

        def difference(rows: Tensor, counts: Tensor) -> Tensor:
            return share(rows, counts) - chance(rows, counts)

        return {
            name: estimate(rows, statistic, groups=groups, resamples=self.resamples, seed=self.seed)
            for name, statistic in zip(self.figures, (difference, share, chance), strict=True)
        }

    def _by_prototype(self, hits: Tensor) -> Tensor:
        """Return hits of pairs (n, V, pairs) as hits of the prototypes that count (n, V, P, K)."""
        prototypes, parts = len(self.table), len(self.part_class)
        full = torch.full((*hits.shape[:2], prototypes, parts), torch.nan, dtype=torch.float64)
        full[:, :, self._prototype, self._part] = hits
        return full

    def _keep(self, scene: Scene, index: int) -> None:
        sizes = [index, *scene.maps.shape, *scene.labels.shape, len(scene.centres)]
        numbers = torch.cat([torch.tensor(sizes), scene.centres.flatten()])
        for state, values in zip(SCENES, (scene.maps, scene.labels, numbers), strict=True):
            getattr(self, state).append(values.flatten().to(self.device, SCENES[state]))

    def _scenes(self) -> Iterator[tuple[int, Scene]]:
        """Yield each image's index and its scene."""
        maps, labels, numbers = (values.cpu() for values in self._scene_states())
        while len(numbers):
            index, kept, h, w, height, width, centroids = numbers[:NUMBERS].tolist()
            numbers = numbers[NUMBERS:]
            centres = numbers[: 2 * centroids].view(-1, 2)
            shown = torch.tensor(self.part_class)[centres[:, 0]]
            class_of = self.table.class_index
            yield (
                index,
                Scene(
                    index + self.seed,
                    labels[: height * width].view(height, width),
                    centres,
                    maps[: kept * h * w].view(kept, h, w),
                    class_of[torch.isin(class_of, shown)],
                ),
            )
            numbers = numbers[2 * centroids :]
            maps, labels = maps[kept * h * w :], labels[height * width :]

    def _scene_states(self) -> list[Tensor]:
        # Gathered over processes they are tensors, otherwise lists.
        states = [(getattr(self, name), dtype) for name, dtype in SCENES.items()]
        return [
            state
            if isinstance(state, Tensor)
            else torch.cat([torch.zeros(0, dtype=dtype, device=self.device), *state])
            for state, dtype in states
        ]

    def _sync_dist(self, *args: Any, **options: Any) -> None:
        # A process without images must contribute empty scenes, or the others would wait forever.
        for name, state in zip(SCENES, self._scene_states(), strict=True):
            setattr(self, name, [state])
        super()._sync_dist(*args, **options)


def check_active(active: Tensor | None, prototypes: int) -> Tensor:
    """Return the indices of the prototypes that count, ascending."""
    if active is None:
        return torch.arange(prototypes)
    tensor("active", active, "prototypes", "integers")
    if active.numel() and not 0 <= int(active.min()) <= int(active.max()) < prototypes:
        raise ValueError(
            f"active holds {int(active.min())} to {int(active.max())}, expected indices of "
            f"prototypes from 0 to {prototypes - 1}"
        )
    indices: Tensor = active.long().cpu().unique()
    return indices
