"""How differently prototypes look, region by region: the pixels of a class in an image."""

from __future__ import annotations

from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from protoxai.kernels.gradients import plain_gradients
from protoxai.kernels.tiles import in_graph
from protoxai.losses.class_pixels import OwnClassPixels
from protoxai.losses.scattering import add_up
from protoxai.runtime.precision import without_autocast


def similarity(own: OwnClassPixels, maps: Tensor, pairs: Tensor, counted: Tensor) -> Tensor:
    """Return the sum of ``exp(-D)``, ``D = (KL(v_p|v_q) + KL(v_q|v_p)) / 2``, over pairs (p, q).

    ``v_p`` is the softmax of prototype p's map over the pixels U of its class in an image. A region
    costs a few operations on its own S x K x |U| values; nothing is padded, and nothing as large
    as the maps is made but their gradient.

    Args:
        own: classes of the pixels, on a CPU.
        maps: (B, P, h, w), checked.
        pairs: True (C, S, K, K) for two slots of a class and a scale that are a pair.
        counted: True (B, C) for the classes of each image whose regions count, not empty.

    Returns:
        Scalar.
    """
    with without_autocast(maps):
        sizes = own.pixels.long().where(counted, 0)
        found: Tensor = _Similarity.apply(maps, own.classes[:, 0], own.numbers, pairs, sizes)
    return found


def _compare(
    maps: Tensor,
    classes: Tensor,
    numbers: Tensor,
    pairs: Tensor,
    sizes: Tensor,
    differentiate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum of ``exp(-D)``, and what is needed to differentiate it.

    Args:
        maps: (B, P, h, w).
        classes: of each pixel, (B, h*w).
        numbers: of each class's prototypes, (C, S, K).
        pairs: see :func:`similarity`.
        sizes: |U| (B, C), 0 where the region does not count.
        differentiate: whether to return the gradient.

    Returns:
        The sum; region after region, where its S x K x |U| values are in the flattened maps; and,
        likewise, the gradient. Both are as long as if all pixels counted, and end with zeros.
    """
    slots, area = numbers.shape[1:], classes.shape[1]
    regions = _pixels(classes, sizes)
    counts = [slots.numel() * len(own) for own in regions]
    rest = slots.numel() * classes.numel() - sum(counts)
    images, of_class = (sizes > 0).nonzero().unbind(1)
    start = (numbers[of_class] + (images * (maps.shape[1] - 1))[:, None, None]) * area
    of_regions = [
        (first + own).view(-1) for first, own in zip(start[..., None], regions, strict=True)
    ]
    places = torch.cat([*of_regions, classes.new_zeros(rest)])
    *values, beyond = maps.reshape(-1).index_select(0, places).split([*counts, rest])
    if not values:
        return beyond[:0].sum(), places, torch.zeros_like(beyond[: len(beyond) * differentiate])
    looks = [own.view(*slots, -1).log_softmax(-1) for own in values]
    shares = [look.exp() for look in looks]
    crossed = torch.stack(
        [torch.bmm(share, look.transpose(1, 2)) for share, look in zip(shares, looks, strict=True)]
    )
    alone = crossed.diagonal(dim1=-2, dim2=-1)
    apart = alone[..., None] + alone[..., None, :] - crossed - crossed.transpose(-1, -2)
    # No divergence is negative, but for rounding.
    similar = (apart / -2).clamp_max(0).exp().where(pairs[of_class], 0)
    total = similar.sum()
    if not differentiate:
        return total, places, maps.new_zeros(0)
    # The gradient of crossed, symmetric: each row and column of it sums to 0, so by the map of p it
    # is v_p (sum_q G_pq (log v_q - crossed_pq)) + sum_q G_pq v_q.
    both = (similar + similar.transpose(-1, -2)) / -2
    to_crossed = torch.diag_embed(both.sum(-1)) - both
    constant = -(to_crossed * crossed).sum(-1, keepdim=True)
    gradients = [
        torch.baddbmm(first, weights, look).mul_(share).baddbmm_(weights, share).view(-1)
        for first, weights, look, share in zip(constant, to_crossed, looks, shares, strict=True)
    ]
    return total, places, torch.cat([*gradients, maps.new_zeros(rest)])


def _pixels(classes: Tensor, sizes: Tensor) -> list[Tensor]:
    """Return the pixels of each region that counts, numbered through all images."""
    batch, num_classes = sizes.shape
    keys = (classes + torch.arange(batch)[:, None] * (num_classes + 1)).flatten()
    counts = keys.bincount(minlength=batch * (num_classes + 1))
    counted = pad(sizes > 0, (0, 1)).flatten()
    present = counts > 0
    regions = keys.argsort(stable=True).split(counts[present].tolist())
    return list(compress(regions, counted[present].tolist()))


_compare_in_graph = torch.library.custom_op("protoxai::similarity", _compare, mutates_args=())


@_compare_in_graph.register_fake
def _(maps: Tensor, classes: Tensor, numbers: Tensor, *others: Any) -> tuple[Tensor, ...]:
    length = numbers.shape[1:].numel() * classes.numel()
    gradient = maps.new_empty(length if others[-1] else 0)
    return maps.new_empty(()), classes.new_empty(length), gradient


class _Similarity(torch.autograd.Function):
    """A compiler sees one operation: how many regions there are, and how large, is data."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, classes: Tensor, numbers: Tensor, pairs: Tensor, sizes: Tensor
    ) -> Tensor:
        """Sum; see :func:`similarity`."""
        run = _compare_in_graph if in_graph(maps) else _compare
        given = (maps, classes, numbers, pairs, sizes)
        total, places, gradient = run(*given, ctx.needs_input_grad[0])
        ctx.save_for_backward(*given, places, gradient)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Differentiate by the maps."""
        maps, classes, numbers, pairs, sizes, places, gradient = ctx.saved_tensors
        with without_autocast(maps):
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():
                total = _compare(maps, classes, numbers, pairs, sizes, differentiate=False)[0]
                (to_maps,) = plain_gradients((total,), (maps,), (True,), (grad,))
                return to_maps, None, None, None, None
            # Slots without a prototype and what is beyond the regions add 0 to something else.
            flat = add_up(gradient * grad, 0, places, maps.numel())
        return flat.view(maps.shape), None, None, None, None
