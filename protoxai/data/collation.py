"""Batches of samples."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from torch import Tensor
from torch.utils.data import default_collate

from protoxai.data.base import Sample
from protoxai.runtime.batches import labelled_images
from protoxai.runtime.checks import shown


class Batch(TypedDict):
    """Several samples of one size.

    Attributes:
        image: Images (B, 3, H, W), float32, normalised.
        labels: Labels (B, h, w), int64.
        index: Positions in the data set (B,), int64.
        id: Names of the samples.
        parts: Parts (B, h, w), int64; only if the data set has parts.
    """

    image: Tensor
    labels: Tensor
    index: Tensor
    id: list[str]
    parts: NotRequired[Tensor]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size into a batch.

    Args:
        samples: Samples whose images, and whose labels, have the same size.

    Returns:
        The batch, with tensors stacked along a new first dimension.

    Raises:
        TypeError: If they are no samples.
        ValueError: If the sizes differ.

    Example:
        >>> from protoxai.data import Shapes
        >>> shapes = Shapes(size=32)
        >>> batch = collate([shapes[0], shapes[1]])
        >>> batch["image"].shape, batch["index"].tolist()
        (torch.Size([2, 3, 32, 32]), [0, 1])
    """
    if not isinstance(samples, Sequence) or not samples:
        raise TypeError(f"samples are {shown(samples)}, expected a list of one sample or more")
    for sample in samples:
        labelled_images("samples", sample, dims="")
    for name in ("image", "labels"):
        shapes = {tuple(sample[name].shape) for sample in samples}
        if len(shapes) > 1:
            listed = ", ".join(f"{sample['id']} {tuple(sample[name].shape)}" for sample in samples)
            raise ValueError(
                f"samples of different sizes cannot be stacked into a batch; {name}: {listed}. "
                "Use batch_size=1, or a transform that crops to one size (training_transform)"
            )
    return cast(Batch, default_collate(list(samples)))
