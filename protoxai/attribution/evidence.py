"""Evidence: the exact, signed contribution of each group and prototype to a class's logit."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.model.outputs import SegmentationOutput
from protoxai.runtime.resize import resize


def baseline_logit(head: PrototypeHead | SparseGroupHead) -> Tensor:
    """Return the logits (C,) where no prototype is active: the part that nothing is credited with.

    In stage 2 every group score is then 1, so it is the sum of a class's last-layer weights; in
    stage 1 it is 0.
    """
    if isinstance(head, SparseGroupHead):
        return head.weight.detach().sum(1)
    return head.weight.new_zeros(len(head.weight))


@torch.no_grad()
def unit_evidence(
    head: PrototypeHead | SparseGroupHead, output: SegmentationOutput, class_index: int
) -> Tensor:
    """Return what each unit of the last layer adds to a class's logit at every pixel.

    Stage 2: groups, ``V_cn (h_n - 1)``; stage 1: prototypes, ``W_cp g_p``. With
    :func:`baseline_logit` they add up to the logit, exactly.

    Args:
        head: the model's head.
        output: what the model returned.
        class_index: the class c.

    Returns:
        (B, N, h, w) in stage 2, (B, P, h, w) in stage 1.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> output = model(torch.rand(1, 3, 32, 40))
        >>> total = unit_evidence(model.head, output, 1).sum(1) + baseline_logit(model.head)[1]
        >>> torch.allclose(total, output.logits[:, 1], atol=1e-3)
        True
    """
    weight = head.weight[class_index][:, None, None]
    if isinstance(head, SparseGroupHead):
        scores = output.group_scores
        return weight * ((head.scores(output.activations) if scores is None else scores) - 1)
    return weight * output.activations


@torch.no_grad()
def prototype_evidence(
    head: PrototypeHead | SparseGroupHead, output: SegmentationOutput, class_index: int
) -> Tensor:
    """Return what each prototype adds to a class's logit at every pixel, (B, P, h, w).

    In stage 2 a group's evidence is shared among its prototypes by their Aumann-Shapley share
    along ``t g``, t in [0, 1]: ``V_cn w_ni g_i expm1(a) / a`` with ``a = sum_i w_ni g_i``; the
    shares of a group sum to its evidence, and a prototype has the sum over its groups.

    Args:
        head: the model's head.
        output: what the model returned.
        class_index: the class c.
    """
    if not isinstance(head, SparseGroupHead):
        return unit_evidence(head, output, class_index)
    activations = output.activations
    credit = head.weight[class_index][:, None, None] * _slope(head.scores(activations))
    factors = torch.matmul(head.group_weights().to(credit).T, credit.flatten(2))
    return factors.view_as(activations) * activations


@torch.no_grad()
def member_evidence(
    head: SparseGroupHead, output: SegmentationOutput, class_index: int, weights: Tensor
) -> Tensor:
    """Return what each prototype adds through each of its own class's groups, over a region.

    Args:
        head: the grouping head.
        output: what the model returned, for one image.
        class_index: the class c.
        weights: of the region, (h, w), from :func:`region_weights`.

    Returns:
        (G, M_c), columns the class's prototypes in table order; a row sums to the group's mean
        evidence over the region. (0, 0) for a class without prototypes.
    """
    own_groups = head.group_class == class_index
    own_prototypes = head.table.class_index == class_index
    slope = _slope(head.scores(output.activations)[0, own_groups]) * weights
    means = slope.flatten(1) @ output.activations[0, own_prototypes].flatten(1).T
    group_weights = head.group_weights(class_index)
    credit = head.weight[class_index, own_groups][:, None]
    return credit * group_weights * means if len(group_weights) else group_weights


def region_weights(region: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the weights on the feature grid that give a map's mean over a region of the image.

    The mean, over a region of pixels, of a map resized bilinearly to the image is a weighted sum
    of the map; these are its weights, so that one sum serves any number of maps.

    Args:
        region: bool (..., H, W), True in the region.
        grid: height and width (h, w) of the feature grid.

    Returns:
        Weights (..., h, w) that sum to 1; NaN for an empty region.

    Example:
        >>> import torch
        >>> region_weights(torch.ones(4, 4, dtype=torch.bool), (2, 2))
        tensor([[0.2500, 0.2500],
                [0.2500, 0.2500]])
    """
    flat = region.flatten(0, -3) if region.dim() > 2 else region[None]
    # The caller may have switched gradients off altogether.
    with torch.inference_mode(False), torch.enable_grad():
        share = flat / flat.sum((1, 2), keepdim=True, dtype=torch.float32)
        maps = torch.zeros(len(flat), 1, *grid, device=region.device, requires_grad=True)
        mean = (resize(maps, region.shape[-2:])[:, 0] * share).sum()
    (weights,) = torch.autograd.grad(mean, maps)
    return weights[:, 0].reshape(*region.shape[:-2], *grid)


def _slope(scores: Tensor) -> Tensor:
    """Return ``expm1(a) / a`` of group scores ``exp(a)``, and its limit 1 at ``a = 0``."""
    sums = scores.log()
    return torch.where(sums.abs() < 1e-6, 1 + sums / 2, sums.expm1() / sums)
