"""What tests draw and compare: prototype tables, labels and maps, and loops over classes."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from protoxai import PrototypeTable, SparseGroupHead

VOID = 255

# In no order; classes 1 and 4 and scale 3 are empty, class 3 has a single prototype.
UNEVEN = PrototypeTable(
    class_index=[2, 0, 0, 3, 0, 2, 0, 2],
    scale_index=[1, 0, 2, 0, 0, 1, 2, 0],
    num_classes=5,
    num_scales=4,
)


@st.composite
def tables(draw: st.DrawFn, max_scales: int = 3) -> PrototypeTable:
    """Any arrangement: unordered, uneven, with classes and scales that have no prototype."""
    num_classes, num_scales = draw(st.integers(1, 4)), draw(st.integers(1, max_scales))
    cell = st.tuples(st.integers(0, num_classes - 1), st.integers(0, num_scales - 1))
    class_index, scale_index = zip(*draw(st.lists(cell, min_size=1, max_size=10)), strict=True)
    return PrototypeTable(class_index, scale_index, num_classes, num_scales)


@st.composite
def label_maps(draw: st.DrawFn, num_classes: int) -> Tensor:
    """Small label maps with void pixels and absent classes."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)))
    pixels = math.prod(shape)
    values = st.sampled_from([*range(num_classes), VOID])
    return torch.tensor(draw(st.lists(values, min_size=pixels, max_size=pixels))).view(shape)


@st.composite
def segmentations(draw: st.DrawFn, max_scales: int = 3) -> tuple[Tensor, Tensor, PrototypeTable]:
    """Maps (B, P, h, w) in float64 of either sign, labels (B, h, w), and their table."""
    table = draw(tables(max_scales))
    labels = draw(label_maps(table.num_classes))
    batch, height, width = labels.shape
    return draw(maps_of(batch, len(table), height, width)), labels, table


@st.composite
def maps_of(draw: st.DrawFn, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * 3


@st.composite
def group_heads(draw: st.DrawFn) -> SparseGroupHead:
    """Heads in float64 whose weights are anywhere on the simplex or, thresholded, below it."""
    head = SparseGroupHead(draw(tables()), num_groups=draw(st.integers(1, 3))).double()
    head.group_parameter.data = draw(maps_of(*head.group_parameter.shape)) / 6
    head.project_to_simplex_()
    if draw(st.booleans()):
        head.threshold_(0.2)
    return head


def permutations(table: PrototypeTable) -> st.SearchStrategy[Tensor]:
    return st.permutations(range(len(table))).map(torch.tensor)


def rearranged(table: PrototypeTable, order: Tensor) -> PrototypeTable:
    """The table whose prototype ``i`` is prototype ``order[i]`` of the given one."""
    return PrototypeTable(
        table.class_index[order], table.scale_index[order], table.num_classes, table.num_scales
    )


@st.composite
def reordered_heads(draw: st.DrawFn) -> tuple[SparseGroupHead, Tensor, SparseGroupHead]:
    """A head, an order of its prototypes, and the same head with its prototypes in that order."""
    head = draw(group_heads())
    order = draw(permutations(head.table))
    other = SparseGroupHead(rearranged(head.table, order), head.num_groups).double()
    other.set_group_weights(head.group_weights()[:, order])
    return head, order, other


def head_with(
    table: PrototypeTable, rows: list[list[float]], dtype: torch.dtype = torch.float32
) -> SparseGroupHead:
    """The head of two groups a class whose weights are these rows."""
    head = SparseGroupHead(table, num_groups=2).to(dtype)
    head.set_group_weights(torch.tensor(rows, dtype=dtype))
    return head


def poison_padding(head: SparseGroupHead, value: float = 1e6) -> None:
    padding = ~head.member_mask.expand_as(head.group_parameter)
    head.group_parameter.data[padding] = value


def set_of(table: PrototypeTable, class_index: int, scale: int | None = None) -> list[int]:
    """Numbers of the prototypes of a class, at a scale or at all of them."""
    places = zip(table.class_index.tolist(), table.scale_index.tolist(), strict=True)
    return [
        number for number, (c, s) in enumerate(places) if c == class_index and scale in (None, s)
    ]


def pixel_sets(labels: Tensor, num_classes: int) -> Iterator[tuple[int, int, Tensor]]:
    """Image, class and the mask of its pixels, for each class present in each image."""
    for image, class_index in product(range(len(labels)), range(num_classes)):
        pixels = labels[image] == class_index
        if pixels.any():
            yield image, class_index, pixels


def mean_of(terms: Sequence[Tensor], source: Tensor) -> Tensor:
    """The mean; where there is nothing to average, 0 that still depends on its source."""
    return torch.stack(tuple(terms)).mean() if terms else source.sum() * 0


def value_and_gradient(loss: Callable[[Tensor], Tensor], maps: Tensor) -> tuple[Tensor, Tensor]:
    maps = maps.clone().requires_grad_()
    value = loss(maps)
    (gradient,) = torch.autograd.grad(value, maps)
    return value.detach(), gradient


def parameter_and_gradient(
    loss: Callable[[SparseGroupHead], Tensor], head: SparseGroupHead
) -> tuple[Tensor, Tensor]:
    value = loss(head)
    (gradient,) = torch.autograd.grad(value, head.group_parameter, materialize_grads=True)
    return value.detach(), gradient


def gradcheck_parameter(
    loss: Callable[[nn.Module], Tensor], module: nn.Module, parameter: str
) -> bool:
    """Compare the loss's gradient by a parameter with finite differences."""

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self) -> Tensor:
            return loss(self.module)

    def by_value(value: Tensor) -> Tensor:
        return functional_call(Loss(), {f"module.{parameter}": value}, ())

    point = module.get_parameter(parameter).detach().clone().requires_grad_()
    return torch.autograd.gradcheck(by_value, point)
