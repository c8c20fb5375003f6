"""Checks that a head is one, and that it has groups."""

from __future__ import annotations

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead, UnitHead
from protoxai.runtime.checks import instance

Head = PrototypeHead | SparseGroupHead


def check_head(head: Head) -> Head:
    """Return the head of either stage, or raise ``TypeError`` if it is something else."""
    if not isinstance(head, (PrototypeHead, SparseGroupHead)):
        instance("head", head, UnitHead, "pass model.head")
    return head


def check_grouped(head: Head) -> SparseGroupHead:
    """Return a head with groups.

    Raises:
        TypeError: If it is no head.
        ValueError: If it is the head of stage 1, which has no groups.
    """
    if isinstance(check_head(head), PrototypeHead):
        raise ValueError(
            f"the head is a {type(head).__name__}, which has no groups; expected a "
            "SparseGroupHead: call model.group() first"
        )
    return instance("head", head, SparseGroupHead)
