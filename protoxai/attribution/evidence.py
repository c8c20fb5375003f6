"""Evidence: the exact, signed contribution of each group and prototype to a class's logit."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.kinds import check_grouped, check_head
from protoxai.heads.linear import PrototypeHead, check_class
from protoxai.model.outputs import SegmentationOutput
from protoxai.runtime.checks import instance, pair
from protoxai.runtime.precision import full_precision_einsum, widen
from protoxai.runtime.resize import resize
from protoxai.runtime.tensors import tensor


def baseline_logit(head: PrototypeHead | SparseGroupHead) -> Tensor:
    """Return the logits (C,) where no prototype is active, which no unit is credited with.

    They are in float32, or wider if the head is.

    In stage 1 they are 0. In stage 2 every group score is then 1, so a class's baseline is the sum
    of its last-layer weights.

    Args:
        head: Head of the model.
    """
    if isinstance(check_head(head), SparseGroupHead):
        return widen(head.class_weights().detach())[0].sum(1)
    return widen(head.weight.new_zeros(head.num_classes))[0]


@torch.no_grad()
def unit_evidence(
    head: PrototypeHead | SparseGroupHead, output: SegmentationOutput, class_index: int
) -> Tensor:
    """Return the contribution of each unit of the last layer to a class's logit at every pixel.

    The units are the prototypes in stage 1, with evidence ``W_cp g_p``, and the groups in stage 2,
    with ``V_cn (h_n - 1)``. Together with :func:`baseline_logit` they add up exactly to the logit.

    Args:
        head: Head of the model.
        output: Output of the model.
        class_index: Class c.

    Returns:
        Evidence (B, P, h, w) in stage 1, (B, N, h, w) in stage 2.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> output = model(torch.rand(1, 3, 32, 40))
        >>> total = unit_evidence(model.head, output, 1).sum(1) + baseline_logit(model.head)[1]
        >>> torch.allclose(total, output.logits[:, 1], atol=1e-3)
        True
    """
    _check(head, output)
    class_index = check_class(class_index, head.num_classes)
    weight = head.class_weights(class_index)[:, None, None]
    if isinstance(head, SparseGroupHead):
        return weight * (group_scores(head, output) - 1)
    return weight * output.activations


@torch.no_grad()
def prototype_evidence(
    head: PrototypeHead | SparseGroupHead, output: SegmentationOutput, class_index: int
) -> Tensor:
    """Return the contribution of each prototype to a class's logit at every pixel.

    In stage 2 a group's evidence is divided among its prototypes by their Aumann-Shapley share
    along ``t g``, t in [0, 1]: ``V_cn w_ni g_i expm1(a) / a`` with ``a = sum_i w_ni g_i``. The
    shares of a group sum to its evidence; a prototype has the sum over its groups.

    Args:
        head: Head of the model.
        output: Output of the model.
        class_index: Class c.

    Returns:
        Evidence (B, P, h, w).
    """
    _check(head, output)
    if not isinstance(head, SparseGroupHead):
        return unit_evidence(head, output, class_index)
    class_index = check_class(class_index, head.num_classes)
    activations = output.activations
    credit = head.class_weights(class_index)[:, None, None] * slope(group_scores(head, output))
    weights = head.padded_weights().to(credit)
    credit = credit.unflatten(1, weights.shape[:2])
    factors = full_precision_einsum(weights, credit, "c g m, b c g h w -> b c m h w")
    members = head.table.to(credit.device).members("class").indices[head.classes]
    mask = head.member_mask[:, 0]
    by_prototype = torch.empty_like(activations, dtype=factors.dtype)
    by_prototype[:, members[mask]] = factors[:, mask]
    return by_prototype * activations


@torch.no_grad()
def evidence_of_prototype(
    head: PrototypeHead | SparseGroupHead,
    output: SegmentationOutput,
    class_index: int,
    prototype: int,
) -> Tensor:
    """Return the contribution of one prototype to a class's logit at every pixel, (B, h, w).

    It is one of the maps of :func:`prototype_evidence`, without the cost of all others.

    Args:
        head: Head of the model.
        output: Output of the model.
        class_index: Class c.
        prototype: Index of the prototype.
    """
    _check(head, output)
    class_index = check_class(class_index, head.num_classes)
    activation, credit = output.activations[:, prototype], head.class_weights(class_index)
    if not isinstance(head, SparseGroupHead):
        return credit[prototype] * activation
    own_class = int(head.table.class_index[prototype])
    own_groups = head.group_class == own_class
    members = (head.table.class_index == own_class).nonzero().flatten().tolist()
    weights = head.group_weights(own_class)[:, members.index(prototype)]
    slopes = slope(group_scores(head, output)[:, own_groups])
    return ((credit[own_groups] * weights)[:, None, None] * slopes).sum(1) * activation


@torch.no_grad()
def member_evidence(
    head: SparseGroupHead, output: SegmentationOutput, class_index: int, weights: Tensor
) -> Tensor:
    """Return the contribution of each prototype through each group of a class, over a region.

    Args:
        head: Grouping head of the model.
        output: Output of the model for one image.
        class_index: Class c.
        weights: Weights (h, w) of the region, from :func:`region_weights`.

    Returns:
        Evidence (G, M_c), float64, whose columns are the class's prototypes in table order; a row
        sums to the group's mean evidence over the region. (0, 0) for a class without prototypes.
    """
    _check(check_grouped(head), output)
    class_index = check_class(class_index, head.num_classes)
    _, _, height, width = output.activations.shape
    tensor("weights", weights, "height width", sizes={"height": height, "width": width})
    own_groups = head.group_class == class_index
    own_prototypes = head.table.class_index == class_index
    slopes = slope(group_scores(head, output)[0, own_groups]) * weights.double()
    activations = output.activations[0, own_prototypes].double()
    means = full_precision_einsum(slopes, activations, "g h w, p h w -> g p")
    group_weights = head.group_weights(class_index)
    credit = head.class_weights(class_index)[own_groups][:, None]
    return credit * group_weights * means if len(group_weights) else group_weights


def region_weights(region: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the weights on the feature grid that give a map's mean over a region of the image.

    The mean over a region of a map that is resized bilinearly to the image is a weighted sum of
    the map; these are its weights, so that one sum serves any number of maps.

    Args:
        region: Pixels of the region, bool (..., H, W).
        grid: Height and width (h, w) of the feature grid.

    Returns:
        Weights (..., h, w), float64, that sum to 1; NaN for an empty region.

    Example:
        >>> import torch
        >>> region_weights(torch.ones(4, 4, dtype=torch.bool), (2, 2))
        tensor([[0.2500, 0.2500],
                [0.2500, 0.2500]], dtype=torch.float64)
    """
    tensor("region", region, "... height width", "bool")
    grid = pair("grid", grid)
    share = region / region.sum((-2, -1), keepdim=True, dtype=torch.float64)
    for cells in grid:
        # The side that comes last is summed, and put before the other one.
        identity = torch.eye(cells, device=region.device, dtype=share.dtype)[None, None]
        matrix = resize(identity, (share.shape[-2], cells))[0, 0]
        share = full_precision_einsum(share, matrix, "... side rest, side cells -> ... rest cells")
    return share


def group_scores(head: SparseGroupHead, output: SegmentationOutput) -> Tensor:
    """Return the group scores (B, N, h, w) of an output, computed if it does not hold them."""
    scores = output.group_scores
    return head.scores(output.activations) if scores is None else scores


def _check(head: PrototypeHead | SparseGroupHead, output: SegmentationOutput) -> None:
    check_head(head)
    instance("output", output, SegmentationOutput, "output = model(images)")
    prototypes = len(head.table)
    dims = "batch prototypes height width"
    tensor("output.activations", output.activations, dims, sizes={"prototypes": prototypes})


def slope(scores: Tensor) -> Tensor:
    """Return ``expm1(a) / a`` of group scores ``exp(a)``, and its limit 1 at ``a = 0``."""
    sums = scores.log()
    return torch.where(sums.abs() < 1e-6, 1 + sums / 2, sums.expm1() / sums)
