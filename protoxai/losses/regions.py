"""How differently prototypes look, region by region: the pixels of a class in an image."""

from __future__ import annotations

import math
import mmap
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from protoxai.double_backward import plain_gradients
from protoxai.losses.own_class import OwnClassPixels
from protoxai.precision import without_autocast

# Bytes; glibc keeps smaller memory for the next time.
LARGE = 1 << 25
# Python maps shared memory unless told otherwise: forked processes would write to it together.
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def divergences(own: OwnClassPixels, maps: Tensor, counted: Tensor) -> Tensor:
    """Return ``D = (KL(v_p|v_q) + KL(v_q|v_p)) / 2`` of every two prototypes of a class and scale.

    ``v_p`` is the softmax of prototype p's map over the pixels U of its class in an image. A region
    costs a few operations on its own S x K x |U| values; nothing is padded, and nothing as large
    as the maps is made but their gradient.

    Args:
        own: classes of the pixels, on a CPU.
        maps: (B, P, h, w), checked.
        counted: True (B, C) for the classes of each image whose regions count, not empty.

    Returns:
        D (B, C, S, K, K), at least 0. It means nothing for slots without a prototype; regions that
        do not count have zeros.
    """
    with without_autocast(maps):
        sizes = own.pixels.long().where(counted, 0)
        found: Tensor = _Divergences.apply(maps, own.classes[:, 0], own.numbers, sizes)
    return found


def _compare(
    maps: Tensor, classes: Tensor, numbers: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the divergences (B, C, S, K, K), and what is needed to differentiate them.

    Args:
        maps: (B, P, h, w).
        classes: of each pixel, (B, h*w).
        numbers: of each class's prototypes, (C, S, K).
        sizes: |U| (B, C), 0 where the region does not count.

    Returns:
        The divergences; ``crossed``, the sums over U of ``v_p log v_q``, likewise; and, region
        after region, ``places`` of its S x K x |U| values in the flattened maps and ``looks``, the
        logarithms of its v. What remains of their length, that of all pixels, means nothing.
    """
    slots, area = numbers.shape[1:], classes.shape[1]
    regions = _pixels(classes, sizes)
    counts = [slots.numel() * len(own) for own in regions]
    rest = slots.numel() * classes.numel() - sum(counts)
    images, of_class = chosen = (sizes > 0).nonzero().unbind(1)
    start = (numbers[of_class] + (images * (maps.shape[1] - 1))[:, None, None]) * area
    of_regions = [
        (first + own).view(-1) for first, own in zip(start[..., None], regions, strict=True)
    ]
    places = torch.cat([*of_regions, classes.new_zeros(rest)])
    *values, beyond = maps.reshape(-1).index_select(0, places).split([*counts, rest])
    looks = [own.view(*slots, -1).log_softmax(-1) for own in values]
    crossed = maps.new_zeros(*sizes.shape, *slots, slots[1]) + beyond[:0].sum()
    if looks:
        products = [torch.bmm(look.exp(), look.transpose(1, 2)) for look in looks]
        crossed = crossed.index_put(chosen, torch.stack(products))
    alone = crossed.diagonal(dim1=-2, dim2=-1)
    apart = alone[..., None] + alone[..., None, :] - crossed - crossed.transpose(-1, -2)
    # No divergence is negative, but for rounding.
    found = (apart / 2).clamp_min(0)
    return found, crossed, places, torch.cat([*(look.view(-1) for look in looks), beyond])


def _differentiate(
    grad: Tensor,
    crossed: Tensor,
    places: Tensor,
    looks: Tensor,
    sizes: Tensor,
    maps_shape: list[int],
) -> Tensor:
    """Return the gradient of the maps; the arguments are those and the results of _compare."""
    slots, counted = crossed.shape[2:4], sizes > 0
    grad, crossed = grad[counted], crossed[counted]
    # The gradient of crossed, symmetric: each row and column of it sums to 0, so by the map of p it
    # is v_p (sum_q G_pq (log v_q - crossed_pq)) + sum_q G_pq v_q.
    both = (grad + grad.transpose(-1, -2)) / 2
    to_crossed = torch.diag_embed(both.sum(-1)) - both
    constant = -(to_crossed * crossed).sum(-1, keepdim=True)
    counts = [slots.numel() * size for size in sizes[counted].tolist()]
    to_looks = torch.zeros_like(looks)
    parts = (values[: sum(counts)].split(counts) for values in (looks, to_looks))
    for weights, start, flat_look, out in zip(to_crossed, constant, *parts, strict=True):
        look = flat_look.view(*slots, -1)
        share = look.exp()
        to_look = torch.baddbmm(start, weights, look, out=out.view(look.shape))
        to_look.mul_(share).baddbmm_(weights, share)
    gradient = _zeros(maps_shape, grad.dtype)
    # Slots without a prototype and what is beyond the regions add 0 where something else is.
    gradient.view(-1).scatter_add_(0, places, to_looks)
    return gradient


def _zeros(shape: list[int], dtype: torch.dtype) -> Tensor:
    """Return zeros that, if they are many, become memory only where they are written to.

    An allocator asks the system for large memory each time, which hands it out page by page; only
    the pixels of a prototype's own class, few of all, have a gradient.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= LARGE:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(mmap.mmap(-1, size, **PRIVATE), dtype=dtype).view(shape)


def _pixels(classes: Tensor, sizes: Tensor) -> list[Tensor]:
    """Return the pixels of each region that counts, numbered through all images."""
    batch, num_classes = sizes.shape
    keys = (classes + torch.arange(batch)[:, None] * (num_classes + 1)).flatten()
    counts = keys.bincount(minlength=batch * (num_classes + 1))
    counted = pad(sizes > 0, (0, 1)).flatten()
    present = counts > 0
    regions = keys.argsort(stable=True).split(counts[present].tolist())
    return list(compress(regions, counted[present].tolist()))


_compare_in_graph = torch.library.custom_op("protoxai::divergences", _compare, mutates_args=())
_differentiate_in_graph = torch.library.custom_op(
    "protoxai::divergences_backward", _differentiate, mutates_args=()
)


@_compare_in_graph.register_fake
def _(
    maps: Tensor, classes: Tensor, numbers: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    slots = numbers.shape[1:]
    length = slots.numel() * classes.numel()
    found = maps.new_empty(*sizes.shape, *slots, slots[1])
    return found, torch.empty_like(found), classes.new_empty(length), maps.new_empty(length)


@_differentiate_in_graph.register_fake
def _(grad: Tensor, *others: Any) -> Tensor:
    return grad.new_empty(others[-1])


class _Divergences(torch.autograd.Function):
    """A compiler sees two operations: how many regions there are, and how large, is data."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, classes: Tensor, numbers: Tensor, sizes: Tensor) -> Tensor:
        """Compute; see :func:`divergences`."""
        run = _compare_in_graph if torch.compiler.is_compiling() else _compare
        found, *saved = run(maps, classes, numbers, sizes)
        ctx.save_for_backward(maps, classes, numbers, sizes, *saved)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Differentiate by the maps."""
        maps, classes, numbers, sizes, crossed, places, looks = ctx.saved_tensors
        shape = list(maps.shape)
        with without_autocast(maps):
            if torch.compiler.is_compiling():
                to_maps = _differentiate_in_graph(grad, crossed, places, looks, sizes, shape)
            elif torch.is_grad_enabled():
                again = _compare(maps, classes, numbers, sizes)[0]
                (to_maps,) = plain_gradients((again,), (maps,), (True,), (grad,))
            else:
                to_maps = _differentiate(grad, crossed, places, looks, sizes, shape)
        return to_maps, None, None, None
