"""The weighted sum of loss terms that a stage of training minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
from torch import Tensor, nn

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import Head, check_head
from protoxai.labels import check_not_turned, labels_at
from protoxai.losses.activation_norm import activation_norm_loss
from protoxai.losses.cross_entropy import cross_entropy_loss, read_class_weight
from protoxai.losses.group_cross_entropy import group_cross_entropy_loss
from protoxai.losses.group_diversity import group_diversity_loss
from protoxai.losses.group_entropy import group_entropy_loss
from protoxai.losses.off_class_l1 import off_class_l1_loss
from protoxai.losses.prototype_diversity import prototype_diversity_loss
from protoxai.losses.sample_entropy import sample_entropy_loss
from protoxai.losses.scale_max import scale_max_loss
from protoxai.losses.spatial_entropy import spatial_entropy_loss
from protoxai.runtime.checks import did_you_mean, flag, number, shown, whole
from protoxai.runtime.plugins import check_function, is_redefinition
from protoxai.runtime.tensors import tensor

if TYPE_CHECKING:
    from protoxai.model.outputs import LinearOutput, SegmentationOutput

OutputLoss: TypeAlias = "Callable[[SegmentationOutput, Tensor, Head, int], Tensor]"

OPTIONS = ("class_weight", "ignore_index")

# Default weights; those of all other terms are 0.
DEFAULT_WEIGHTS = {"cross_entropy": 1.0, "prototype_diversity": 0.25}


@dataclass(frozen=True)
class OutputTerm:
    """A term over the pixels of an output, averaged over the outputs of all input scales.

    Attributes:
        loss: Function of an output, the labels on its grid (B, h, w), the head and the ignore
            index, which returns a scalar.
        grouped: Whether the term needs a head with groups.
    """

    loss: OutputLoss
    grouped: bool = False


@dataclass(frozen=True)
class HeadTerm:
    """A term over the head's weights alone.

    Attributes:
        loss: Function of the head, which returns a scalar.
        grouped: Whether the term needs a head with groups.
    """

    loss: Callable[..., Tensor]
    grouped: bool = True


def _over_distances(loss: Callable[..., Tensor]) -> OutputTerm:
    return OutputTerm(
        lambda output, labels, head, ignore_index: loss(
            output.distances, labels, head.table, ignore_index=ignore_index
        )
    )


def _over_activations(loss: Callable[..., Tensor]) -> OutputTerm:
    return OutputTerm(
        lambda output, labels, head, ignore_index: loss(
            output.activations, labels, head.table, ignore_index=ignore_index
        )
    )


def _over_groups(loss: Callable[..., Tensor]) -> OutputTerm:
    def term(output: SegmentationOutput, labels: Tensor, head: Head, ignore_index: int) -> Tensor:
        if output.group_scores is None:
            raise ValueError(
                "the loss term group_diversity needs group scores, but the output has none: call "
                "model.group() first, or give the term weight 0"
            )
        assert isinstance(head, SparseGroupHead)
        return loss(output.group_scores, labels, head.group_table, ignore_index=ignore_index)

    return OutputTerm(term, grouped=True)


# Every term except for the cross-entropy, which needs no head.
TERMS: dict[str, OutputTerm | HeadTerm] = {
    "prototype_diversity": _over_distances(prototype_diversity_loss),
    "spatial_entropy": _over_activations(spatial_entropy_loss),
    "sample_entropy": _over_activations(sample_entropy_loss),
    "activation_norm_l1": _over_activations(partial(activation_norm_loss, norm="l1")),
    "activation_norm_linf": _over_activations(partial(activation_norm_loss, norm="linf")),
    "group_diversity": _over_groups(group_diversity_loss),
    "group_entropy": HeadTerm(group_entropy_loss),
    "group_cross_entropy": HeadTerm(group_cross_entropy_loss),
    "scale_max": HeadTerm(scale_max_loss),
    "off_class_l1": HeadTerm(off_class_l1_loss, grouped=False),
}


def register_loss(name: str, *, grouped: bool = False) -> Callable[[OutputLoss], OutputLoss]:
    """Make a loss term available by name, in criteria and recipes.

    Args:
        name: Name by which :class:`ScaleProtoSegLoss` and recipes give the term a weight.
        grouped: Whether the term needs a head with groups.

    Returns:
        A decorator of a function of an output, the labels on its grid (B, h, w), the head and the
        ignore index, which returns a scalar.

    Raises:
        TypeError: If the name is not a string, or the decorated object not such a function.
        ValueError: If the name is taken.

    Example:
        >>> @register_loss("mean_activation")
        ... def mean_activation(output, labels, head, ignore_index):
        ...     return output.activations.mean()
        >>> ScaleProtoSegLoss(mean_activation=0.1)
        ScaleProtoSegLoss(cross_entropy=1.0, prototype_diversity=0.25, mean_activation=0.1)
        >>> _ = TERMS.pop("mean_activation")
    """
    if not isinstance(name, str):
        raise TypeError(f'{shown(name)} is no name, expected @register_loss("my_loss")')
    flag("grouped", grouped)

    def add(loss: OutputLoss) -> OutputLoss:
        known = TERMS.get(name)
        taken = name in loss_terms() or name in OPTIONS
        if taken and not (known and is_redefinition(known.loss, loss)):
            raise ValueError(f"there is a term or an option {name} already: choose another name")
        check_function(loss, "output", "labels", "head", "ignore_index")
        TERMS[name] = OutputTerm(loss, grouped=grouped)
        return loss

    return add


def loss_terms() -> set[str]:
    """Return the names of all loss terms."""
    return {"cross_entropy", *TERMS}


class ScaleProtoSegLoss(nn.Module):
    """Cross-entropy plus the weighted terms of the method.

    Porta et al., WACV 2025: stage 1 is ``cross_entropy + 0.25 prototype_diversity + lambda_1
    off_class_l1``, stage 2 ``cross_entropy + lambda_ent group_entropy + lambda_1 off_class_l1``.
    Terms with weight 0 are not computed. Where the model has input scales, the terms over pixels
    are averaged over its output and the auxiliary ones, each with the labels on its own grid.

    Args:
        class_weight: Weight of each class in the cross-entropy, (C,).
        ignore_index: Label of pixels that do not count.
        weights: Weight of each term by its name, the name of its function without ``_loss``:
            ``cross_entropy`` (1 by default), ``prototype_diversity`` (0.25 by default) and, 0 by
            default, ``spatial_entropy``, ``sample_entropy``, ``activation_norm_l1``,
            ``activation_norm_linf``, ``group_diversity``, ``group_entropy``,
            ``group_cross_entropy``, ``scale_max``, ``off_class_l1`` and terms of
            :func:`~protoxai.losses.register_loss`.

    Raises:
        TypeError: If a term is unknown, or a weight no number.
        ValueError: If a weight is NaN or infinite, or all are 0.

    Example:
        >>> import torch
        >>> from protoxai import MultiScalePrototypeLayer, PrototypeHead, PrototypeTable
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
        class_weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = 255,
        **weights: float,
    ) -> None:
        super().__init__()
        for name in weights:
            if name not in loss_terms():
                raise TypeError(
                    f"there is no loss term {name}{did_you_mean(name, loss_terms())}; there are "
                    f"{', '.join(sorted(loss_terms()))}: register yours with register_loss"
                )
        weights = {name: number(name, w) for name, w in {**DEFAULT_WEIGHTS, **weights}.items()}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        if not self.weights:
            raise ValueError("every loss weight is 0: give at least one term a weight")
        self.ignore_index = whole("ignore_index", ignore_index)
        self.register_buffer("class_weight", read_class_weight(class_weight))

    def forward(
        self,
        output: SegmentationOutput | LinearOutput,
        labels: Tensor,
        head: Head | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted sum as "loss", and each unweighted term by its name.

        Args:
            output: Output of the model.
            labels: Labels, int64 (B, H, W), on any grid; they are sampled on that of each output.
            head: Head of the model; None for a model without prototypes.

        Raises:
            ValueError: If labels or maps do not fit, or a term needs a head, or groups, that the
                model does not have.
        """
        tensor("labels", labels, "batch height width", "integers", meta=True)
        outputs = [output, *_check_output(output).auxiliary]
        per_output = [self._pixel_terms(each, labels, head) for each in outputs]
        terms = {
            name: torch.stack([each[name] for each in per_output]).mean() for name in per_output[0]
        }
        for name in self.weights:
            term = TERMS.get(name)
            if isinstance(term, HeadTerm):
                terms[name] = term.loss(_check_head(head, name))
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": total, **terms}

    def extra_repr(self) -> str:
        """Return the arguments of the criterion."""
        shown: dict[str, object] = {**dict.fromkeys(DEFAULT_WEIGHTS, 0.0), **self.weights}
        if self.class_weight is not None:
            shown["class_weight"] = self.class_weight.tolist()
        if self.ignore_index != 255:
            shown["ignore_index"] = self.ignore_index
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    def _pixel_terms(
        self, output: SegmentationOutput | LinearOutput, labels: Tensor, head: Head | None
    ) -> dict[str, Tensor]:
        size = (output.logits.shape[2], output.logits.shape[3])
        if not torch.compiler.is_compiling():
            check_not_turned(labels.shape[1:], size)
        labels, terms = labels_at(labels, size), {}
        for name in self.weights:
            term = TERMS.get(name)
            if isinstance(term, OutputTerm):
                known = _check_head(head, name)
                with_prototypes = cast("SegmentationOutput", output)
                terms[name] = term.loss(with_prototypes, labels, known, self.ignore_index)
                _check_scalar(name, terms[name])
        if "cross_entropy" in self.weights:
            terms["cross_entropy"] = cross_entropy_loss(
                output.logits,
                labels,
                class_weight=self.class_weight,
                ignore_index=self.ignore_index,
            )
        return terms


def _check_output(output: SegmentationOutput | LinearOutput) -> SegmentationOutput | LinearOutput:
    # The classes of outputs belong to a package that losses do not import.
    if not isinstance(getattr(output, "logits", None), Tensor) or not hasattr(output, "auxiliary"):
        raise TypeError(f"output is {shown(output)}, expected model(images)")
    return output


def _check_scalar(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.ndim:
        raise TypeError(f"the loss term {name} is {shown(value)}, expected a scalar tensor")


def _check_head(head: Head | None, name: str) -> Head:
    """Return the head, or raise ``ValueError`` if a term needs another kind."""
    if head is None:
        raise ValueError(
            f"the loss term {name} needs prototypes, but no head was given: pass the model's head, "
            "or give the term weight 0"
        )
    check_head(head)
    if TERMS[name].grouped and not isinstance(head, SparseGroupHead):
        raise ValueError(
            f"the loss term {name} needs a SparseGroupHead, but the head is {type(head).__name__}: "
            "call model.group() first, or give the term weight 0"
        )
    return head
