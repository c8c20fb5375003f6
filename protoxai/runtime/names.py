"""Names of classes and of samples: distinct, and such that they can be printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from protoxai.runtime.checks import shown


def check_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes as a tuple, after checking them.

    Args:
        names: Name of each class, in the order of the labels.

    Raises:
        TypeError: If they are no list of names.
        ValueError: If there is none, if one is empty or cannot be printed, or if two are equal.

    Example:
        >>> check_class_names(["road", "sky"])
        ('road', 'sky')
    """
    is_list = isinstance(names, Sequence) and not isinstance(names, str | bytes)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise TypeError(f"class_names is {shown(names)}, expected a list of names")
    if not names:
        raise ValueError("class_names is empty: give one class or more")
    for name in names:
        if not name or not name.isprintable():
            raise ValueError(
                f"class_names has {shown(name)}, expected printable characters: rename it"
            )
    check_distinct("class_names", names)
    return tuple(names)


def check_distinct(source: object, names: Sequence[str]) -> None:
    """Raise ``ValueError`` if a name occurs twice.

    Args:
        source: File or argument with the names, for the error.
        names: Names in order.
    """
    if len(set(names)) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        first = names.index(name)
        second = names.index(name, first + 1)
        raise ValueError(
            f"{source} has {shown(name)} twice, as names {first + 1} and {second + 1}: remove or "
            "rename one of them"
        )
