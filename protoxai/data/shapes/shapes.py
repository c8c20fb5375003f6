"""Shapes: an endless synthetic set whose truth a person can check."""

from typing import Literal

import numpy as np
import torch

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.palette import distinct_palette
from protoxai.data.registry import register
from protoxai.data.shapes.objects import BLUEPRINTS
from protoxai.data.shapes.scene import draw_scene

SPLITS = ("train", "val")


@register("shapes")
class Shapes(SegmentationDataset):
    """Objects made of named parts, their sizes differing sixfold, on a cluttered ground.

    Eight classes of objects and the background (class 0). A wheel is spokes, a tyre and a hub; a
    sign is a plate and a bar; and so on (``part_names``). All paints and textures are shared by all
    classes, and single parts lie about that belong to nothing (rings, discs, bars: background), so
    neither colour nor a small patch tells the class: a model has to see how parts go together, near
    and far.

    What a person can check: a prototype that calls itself "wheel, small scale" should lie on a
    spoke, a tyre or a hub; a ring alone should not count as wheel or key; ``parts`` gives the true
    part of every pixel (0 where there is none: background, and the gaps of wheels, ladders and
    keys).

    Sample ``i`` depends on ``(size, objects, clutter, seed, split, i)`` alone; ``length`` only says
    where the data set ends.

    Args:
        size: (height, width) in pixels, or one number for both, 32 or more.
        length: how many samples.
        seed: 0 or more; another seed is another set.
        split: ``"train"`` or ``"val"``, which share no picture.
        transform: see ``SegmentationDataset``.
        objects: fewest and most objects a picture (fewer where there is no room).
        clutter: fewest and most lone pieces a picture, likewise.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> shapes = Shapes(size=96, length=100)
        >>> shapes.class_names[:4], shapes.part_names[:4]
        (('background', 'wheel', 'flower', 'sign'),
         ('none', 'wheel spokes', 'wheel tyre', 'wheel hub'))
        >>> sample = shapes[7]
        >>> sample["image"].shape, sample["labels"].shape, sample["parts"].shape, sample["id"]
        (torch.Size([3, 96, 96]), torch.Size([96, 96]), torch.Size([96, 96]), 'train-0-7')
    """

    part_names: tuple[str, ...] = ("none", *(f"{b.name} {p}" for b in BLUEPRINTS for p in b.parts))
    """The name of every part number."""
    part_class: tuple[int, ...] = (0, *(k for k, b in enumerate(BLUEPRINTS, 1) for _ in b.parts))
    """The class every part number belongs to."""

    def __init__(
        self,
        size: int | tuple[int, int] = 160,
        length: int = 1000,
        seed: int = 0,
        split: Literal["train", "val"] = "train",
        transform: Transform | None = None,
        *,
        objects: tuple[int, int] = (2, 6),
        clutter: tuple[int, int] = (3, 8),
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 32:
            raise ValueError(f"size={size!r}: 32 pixels or more are needed to tell small objects")
        if length < 1 or seed < 0:
            raise ValueError(f"length={length}, seed={seed}: length is 1 or more, seed 0 or more")
        if split not in SPLITS:
            raise ValueError(f"Shapes has no split {split!r}: it is 'train' or 'val'")
        for name, bounds in (("objects", objects), ("clutter", clutter)):
            if not 0 <= bounds[0] <= bounds[1]:
                raise ValueError(f"{name}={bounds}: give (fewest, most), 0 or more")
        names = ("background", *(blueprint.name for blueprint in BLUEPRINTS))
        palette = ((40, 42, 48), *distinct_palette(len(BLUEPRINTS)))
        super().__init__(names, palette, transform=transform)
        self.size = (height, width)
        self.seed = seed
        self.split = split
        self.objects = objects
        self.clutter = clutter
        self._length = length

    def __len__(self) -> int:
        """Where the data set ends."""
        return self._length

    def raw(self, index: int) -> RawSample:
        """The picture with that number, drawn anew; parts included."""
        self._check_index(index)
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        scene = draw_scene(rng, self.size, self.objects, self.clutter)
        image = torch.from_numpy((scene.image * 255).round().astype(np.uint8))
        return RawSample(
            image.permute(2, 0, 1).contiguous(),
            torch.from_numpy(scene.labels),
            id=f"{self.split}-{self.seed}-{index}",
            parts=torch.from_numpy(scene.parts),
        )
