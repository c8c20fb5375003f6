"""The choice of a network's feature levels."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

Levels: TypeAlias = Sequence[int | str] | Literal["pyramid"] | None

OUTPUT_STRIDES = (8, 16, 32)


def choose_levels(
    levels: Levels, reductions: Sequence[int], output_stride: int, names: Sequence[str] = ()
) -> tuple[int, ...]:
    """Return the positions of the chosen levels among a network's levels, in their order.

    Args:
        levels: Positions (negative ones count from the end) or names; "pyramid" is every level
            at least as coarse as `output_stride`; None is the last one.
        reductions: Image pixels per map pixel of each level, at its natural stride.
        output_stride: Image pixels per map pixel of the finest map of a pyramid.
        names: Names of the levels, if they have any.

    Raises:
        TypeError: If `levels` is none of these.
        ValueError: If a level does not exist or is given twice, or if there is none.

    Example:
        >>> choose_levels("pyramid", (2, 4, 8, 16, 32), output_stride=8)
        (2, 3, 4)
        >>> choose_levels([-1, 1], (2, 4, 8, 16, 32), output_stride=8)
        (1, 4)
    """
    if levels is None:
        return (len(reductions) - 1,)
    if levels == "pyramid":
        chosen = [i for i, reduction in enumerate(reductions) if reduction >= output_stride]
        if not chosen:
            raise ValueError(
                f"there is no level with a reduction of {output_stride} or more among "
                f"{tuple(reductions)} for levels='pyramid': lower output_stride or list the levels"
            )
        return tuple(chosen)
    if isinstance(levels, str) or not isinstance(levels, Sequence):
        raise TypeError(
            f"levels is {levels!r}, expected a list of levels, 'pyramid' or None (the last level)"
        )
    positions = sorted(_position(level, len(reductions), names) for level in levels)
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(
            f"levels is {list(levels)}, expected at least one level, and each only once"
        )
    return tuple(positions)


def check_output_stride(output_stride: int) -> None:
    """Raise an error unless networks can be dilated to an output stride.

    Args:
        output_stride: Image pixels per pixel of the coarsest map.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(
            f"output_stride is {output_stride!r}, expected one of {OUTPUT_STRIDES}: "
            "finer maps come from earlier levels, e.g. levels=[1]"
        )


def _position(level: int | str, count: int, names: Sequence[str]) -> int:
    if isinstance(level, str) and level in names:
        return list(names).index(level)
    if isinstance(level, int) and not isinstance(level, bool) and -count <= level < count:
        return level % count
    accepted = f"an integer from {-count} to {count - 1}"
    if names:
        accepted += f" or one of {', '.join(map(repr, names))}"
    raise ValueError(f"levels contains {level!r}, expected {accepted}")
