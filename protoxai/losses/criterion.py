"""The weighted sum of loss terms that a stage of training minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.labels import labels_at
from protoxai.losses.activation_norm import activation_norm_loss
from protoxai.losses.cross_entropy import cross_entropy_loss
from protoxai.losses.group_cross_entropy import group_cross_entropy_loss
from protoxai.losses.group_diversity import group_diversity_loss
from protoxai.losses.group_entropy import group_entropy_loss
from protoxai.losses.off_class_l1 import off_class_l1_loss
from protoxai.losses.prototype_diversity import prototype_diversity_loss
from protoxai.losses.sample_entropy import sample_entropy_loss
from protoxai.losses.scale_max import scale_max_loss
from protoxai.losses.spatial_entropy import spatial_entropy_loss

if TYPE_CHECKING:
    from protoxai.model.outputs import LinearOutput, SegmentationOutput

Head = PrototypeHead | SparseGroupHead
PixelLoss: TypeAlias = "Callable[[SegmentationOutput, Tensor, Head, int], Tensor]"


@dataclass(frozen=True)
class _Pixelwise:
    """What a term over pixels sees: one output, the labels on its grid, the head."""

    output: SegmentationOutput
    labels: Tensor
    head: Head
    ignore_index: int

    def of(self, loss: Callable[..., Tensor], maps: Tensor, **options: str) -> Tensor:
        table = self.head.table
        return loss(maps, self.labels, table, ignore_index=self.ignore_index, **options)


PIXELWISE: dict[str, Callable[[_Pixelwise], Tensor]] = {
    "prototype_diversity": lambda p: p.of(prototype_diversity_loss, p.output.distances),
    "spatial_entropy": lambda p: p.of(spatial_entropy_loss, p.output.activations),
    "sample_entropy": lambda p: p.of(sample_entropy_loss, p.output.activations),
    "activation_norm_l1": lambda p: p.of(activation_norm_loss, p.output.activations, norm="l1"),
    "activation_norm_linf": lambda p: p.of(activation_norm_loss, p.output.activations, norm="linf"),
    "group_diversity": lambda p: group_diversity_loss(
        _groups(p.output.group_scores, "group_diversity"),
        p.labels,
        _grouping(p.head, "group_diversity").group_table,
        ignore_index=p.ignore_index,
    ),
}

HEADWISE: dict[str, Callable[[Head], Tensor]] = {
    "group_entropy": lambda head: group_entropy_loss(_grouping(head, "group_entropy")),
    "group_cross_entropy": lambda head: group_cross_entropy_loss(
        _grouping(head, "group_cross_entropy")
    ),
    "scale_max": lambda head: scale_max_loss(_grouping(head, "scale_max")),
    "off_class_l1": off_class_l1_loss,
}


def register_loss(name: str) -> Callable[[PixelLoss], PixelLoss]:
    """Make a loss term of your own known under a name, for criteria and recipes.

    Args:
        name: Name by which :class:`ScaleProtoSegLoss` and recipes give it a weight.

    Returns:
        A decorator of a function of an output, the labels on its grid (B, h, w), the head and the
        ignore index, which returns a scalar.

    Raises:
        ValueError: If there is a term of that name.

    Example:
        >>> @register_loss("mean_activation")
        ... def mean_activation(output, labels, head, ignore_index):
        ...     return output.activations.mean()
        >>> ScaleProtoSegLoss(mean_activation=0.1)
        ScaleProtoSegLoss(cross_entropy=1.0, prototype_diversity=0.25, mean_activation=0.1)
        >>> _ = PIXELWISE.pop("mean_activation")
    """
    if name in loss_terms():
        raise ValueError(f"there is a loss term {name} already: choose another name")

    def add(loss: PixelLoss) -> PixelLoss:
        PIXELWISE[name] = lambda p: loss(p.output, p.labels, p.head, p.ignore_index)
        return loss

    return add


def loss_terms() -> set[str]:
    """Return the names of all loss terms."""
    return {"cross_entropy", *PIXELWISE, *HEADWISE}


class ScaleProtoSegLoss(nn.Module):
    """Cross-entropy plus the weighted terms of the method.

    Porta et al., WACV 2025: stage 1 is ``cross_entropy + 0.25 prototype_diversity + lambda_1
    off_class_l1``, stage 2 ``cross_entropy + lambda_ent group_entropy + lambda_1 off_class_l1``.
    Terms with weight 0 are not computed. Where the model has input scales, the terms over pixels
    are averaged over its output and the auxiliary ones, each with the labels on its own grid.

    Args:
        cross_entropy: Weight of :func:`~protoxai.losses.cross_entropy_loss`.
        prototype_diversity: Weight of :func:`~protoxai.losses.prototype_diversity_loss`.
        spatial_entropy: Weight of :func:`~protoxai.losses.spatial_entropy_loss`.
        sample_entropy: Weight of :func:`~protoxai.losses.sample_entropy_loss`.
        activation_norm_l1: Weight of :func:`~protoxai.losses.activation_norm_loss`, "l1".
        activation_norm_linf: The same, "linf".
        group_diversity: Weight of :func:`~protoxai.losses.group_diversity_loss`.
        group_entropy: Weight of :func:`~protoxai.losses.group_entropy_loss`.
        group_cross_entropy: Weight of :func:`~protoxai.losses.group_cross_entropy_loss`.
        scale_max: Weight of :func:`~protoxai.losses.scale_max_loss`.
        off_class_l1: Weight of :func:`~protoxai.losses.off_class_l1_loss`.
        class_weight: Weight of each class in the cross-entropy, (C,).
        ignore_index: Label of pixels that do not count.
        registered: Weights of terms made known by :func:`~protoxai.losses.register_loss`.

    Raises:
        TypeError: If a term is unknown.
        ValueError: If no term has a weight.

    Example:
        >>> import torch
        >>> from protoxai import MultiScalePrototypeLayer, PrototypeTable
        >>> from protoxai.model import SegmentationOutput
        >>> table = PrototypeTable.regular(num_classes=2, num_scales=1, per_scale=2)
        >>> layer, head = MultiScalePrototypeLayer(table, dim=4), PrototypeHead(table)
        >>> embedding, labels = torch.rand(1, 1, 4, 3, 3), torch.zeros(1, 6, 6).long()
        >>> maps = layer(embedding)
        >>> output = SegmentationOutput(head(maps.activations), embedding, *maps, None)
        >>> sorted(ScaleProtoSegLoss(off_class_l1=1e-4)(output, labels, head))
        ['cross_entropy', 'loss', 'off_class_l1', 'prototype_diversity']
    """

    class_weight: Tensor | None

    def __init__(
        self,
        *,
        cross_entropy: float = 1.0,
        prototype_diversity: float = 0.25,
        spatial_entropy: float = 0.0,
        sample_entropy: float = 0.0,
        activation_norm_l1: float = 0.0,
        activation_norm_linf: float = 0.0,
        group_diversity: float = 0.0,
        group_entropy: float = 0.0,
        group_cross_entropy: float = 0.0,
        scale_max: float = 0.0,
        off_class_l1: float = 0.0,
        class_weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = 255,
        **registered: float,
    ) -> None:
        super().__init__()
        unknown = set(registered) - loss_terms()
        if unknown:
            raise TypeError(
                f"there is no loss term {', '.join(sorted(unknown))}; there are "
                f"{', '.join(sorted(loss_terms()))}: register yours with register_loss"
            )
        weights = {
            "cross_entropy": cross_entropy,
            "prototype_diversity": prototype_diversity,
            "spatial_entropy": spatial_entropy,
            "sample_entropy": sample_entropy,
            "activation_norm_l1": activation_norm_l1,
            "activation_norm_linf": activation_norm_linf,
            "group_diversity": group_diversity,
            "group_entropy": group_entropy,
            "group_cross_entropy": group_cross_entropy,
            "scale_max": scale_max,
            "off_class_l1": off_class_l1,
            **registered,
        }
        self.weights = {name: weight for name, weight in weights.items() if weight}
        if not self.weights:
            raise ValueError("every loss weight is 0: give at least one term a weight")
        self.ignore_index = ignore_index
        self.register_buffer(
            "class_weight",
            None if class_weight is None else torch.as_tensor(class_weight, dtype=torch.float32),
        )

    def forward(
        self,
        output: SegmentationOutput | LinearOutput,
        labels: Tensor,
        head: Head | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted sum as "loss", and each unweighted term by its name.

        Args:
            output: What the model returned.
            labels: int64 (B, H, W), on any grid; sampled on each output's.
            head: The model's head; a model without prototypes has none.

        Raises:
            ValueError: If labels or maps do not fit, a term of prototypes is asked of a model
                without them, or a group term of a head without groups.
        """
        outputs = [output, *output.auxiliary]
        per_output = [self._pixel_terms(each, labels, head) for each in outputs]
        terms = {
            name: torch.stack([each[name] for each in per_output]).mean() for name in per_output[0]
        }
        for name in self.weights:
            if name in HEADWISE:
                terms[name] = HEADWISE[name](_prototypical(head, name))
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": total, **terms}

    def extra_repr(self) -> str:
        """Describe the weights."""
        return ", ".join(f"{name}={weight}" for name, weight in self.weights.items())

    def _pixel_terms(
        self, output: SegmentationOutput | LinearOutput, labels: Tensor, head: Head | None
    ) -> dict[str, Tensor]:
        labels = labels_at(labels, (output.logits.shape[2], output.logits.shape[3]))
        terms = {}
        for name in self.weights:
            if name in PIXELWISE:
                known = _prototypical(head, name)
                terms[name] = PIXELWISE[name](
                    _Pixelwise(cast("SegmentationOutput", output), labels, known, self.ignore_index)
                )
        if "cross_entropy" in self.weights:
            terms["cross_entropy"] = cross_entropy_loss(
                output.logits,
                labels,
                class_weight=self.class_weight,
                ignore_index=self.ignore_index,
            )
        return terms


def _prototypical(head: Head | None, term: str) -> Head:
    if head is None:
        raise ValueError(
            f"the loss term {term} needs prototypes, but no head was given: pass the model's head, "
            "or give the term weight 0"
        )
    return head


def _grouping(head: Head, term: str) -> SparseGroupHead:
    if not isinstance(head, SparseGroupHead):
        raise ValueError(
            f"the loss term {term} needs a SparseGroupHead, but the head is {type(head).__name__}: "
            "call model.group() first, or give the term weight 0"
        )
    return head


def _groups(scores: Tensor | None, term: str) -> Tensor:
    if scores is None:
        raise ValueError(
            f"the loss term {term} needs group scores, but the output has none: call model.group() "
            "first, or give the term weight 0"
        )
    return scores
