"""Group weights that stay on the simplex, however they are trained."""

from __future__ import annotations

import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from protoxai.heads.linear import UnitHead
from protoxai.heads.simplex import outside_simplex, project_to_simplex

SUM_TOLERANCE = 1e-6
"""How much more than 1 the weights of a group may sum to, for rounding."""

_LOCK = threading.Lock()


class ConstrainedHead(UnitHead):
    """Base of a head with group weights on the simplex.

    Rows that a step of any ``torch.optim`` optimizer changes are projected right after it, outside
    of the forward pass, so that compiled models and other wrappers need nothing else. Rows that
    were set, thresholded or loaded stay as given until then. Updates without such an optimizer are
    only noticed where they leave a negative weight or a sum above 1: these rows are projected
    before they are read, used or saved.

    Attributes:
        group_parameter: Group weights, padded to (classes with prototypes, G, M), where M is the
            largest number of prototypes of a class.
    """

    group_parameter: nn.Parameter
    # How much more than 1 a row may sum to; when the values of the parameter were checked last.
    _tolerance = SUM_TOLERANCE
    _checked: tuple[int, int] | None = None

    @property
    @abstractmethod
    def member_mask(self) -> Tensor:
        """Where ``group_parameter`` is not padding, bool (classes with prototypes, 1, M)."""

    def padded_weights(self) -> Tensor:
        """Return the group weights as they are stored, for losses.

        Returns:
            Padded weights (classes with prototypes, G, M): 0 outside of :attr:`member_mask`.
        """
        self._project_updated_by_hand()
        parameter: Tensor = self.group_parameter
        if torch.compiler.is_compiling():
            # A graph cannot write in place only if a value is outside, so it selects.
            projected = project_to_simplex(parameter.detach(), self.member_mask)
            # The difference is 0; it gives the projected weights the gradient of the parameter.
            projected = projected + (parameter - parameter.detach())
            parameter = torch.where(self._outside(), projected, parameter)
        return parameter.masked_fill(~self.member_mask, 0)

    @torch.no_grad()
    def project_to_simplex_(self) -> None:
        """Project every group's weights onto the simplex, in place; this undoes ``threshold_``.

        After an optimizer's step the weights are projected already.
        """
        self._set_group_parameter(project_to_simplex(self.group_parameter, self.member_mask))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copied or unpickled head."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._checked = None
        self._constrain()

    def _constrain(self) -> None:
        """Project the group weights after the steps of all optimizers that have them."""
        with _LOCK:
            _heads.add(self)

    def _set_group_parameter(self, padded: Tensor) -> None:
        self._tolerance = SUM_TOLERANCE
        self.group_parameter.copy_(padded)

    @torch.no_grad()
    def _project_changed(self, before: Tensor) -> None:
        """Project the rows that differ from an earlier value of the parameter, in place."""
        changed = (self.group_parameter != before) & self.member_mask
        self._project_rows(changed.any(-1, keepdim=True))

    @torch.no_grad()
    def _project_updated_by_hand(self) -> None:
        """Project the rows with a negative weight or a sum above 1, in place.

        On the CPU all values are read. On another device that would stall every step, so there it
        is done only after the parameter has been written to.
        """
        parameter = self.group_parameter
        # Compilers cannot branch on values, and torch.func puts a point of its own in place.
        if torch.compiler.is_compiling() or not isinstance(parameter, nn.Parameter):
            return
        written = None if parameter.is_inference() else (id(parameter), parameter._version)
        if parameter.is_meta or (parameter.device.type != "cpu" and written == self._checked):
            return
        if bool(self._outside().any()):
            with _LOCK:
                # Another thread may have projected them by now.
                self._project_rows(self._outside())
        self._checked = written and (id(parameter), parameter._version)

    def _outside(self) -> Tensor:
        tolerance = max(self._tolerance, torch.finfo(self.group_parameter.dtype).eps)
        return outside_simplex(self.group_parameter, self.member_mask, tolerance)

    def _project_rows(self, rows: Tensor) -> None:
        projected = project_to_simplex(self.group_parameter, self.member_mask)
        self.group_parameter.copy_(torch.where(rows, projected, self.group_parameter))

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._project_updated_by_hand()
        super()._save_to_state_dict(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # Rows that a coarse type has rounded stay as they are when the type becomes finer again.
        self._tolerance = max(self._tolerance, torch.finfo(self.group_parameter.dtype).eps)
        return self


# Heads and optimizers are held weakly, so that they disappear with their last user.
_heads: weakref.WeakSet[ConstrainedHead] = weakref.WeakSet()
# The values before each step that has begun; a step may call another one, such as its base class's.
_begun: weakref.WeakKeyDictionary[Optimizer, list[list[tuple[ConstrainedHead, Tensor]]]]
_begun = weakref.WeakKeyDictionary()


def _begin_step(optimizer: Optimizer, _: Any, __: Any) -> None:
    with _LOCK:
        # Copies of a head may share its parameter, which is projected once.
        heads = {id(head.group_parameter): head for head in _heads}
    stepped = [p for group in optimizer.param_groups for p in group["params"] if id(p) in heads]
    _begun.setdefault(optimizer, []).append([(heads[id(p)], p.detach().clone()) for p in stepped])


def _end_step(optimizer: Optimizer, _: Any, __: Any) -> None:
    for head, before in _begun[optimizer].pop():
        # Rows that the step did not change, such as those of a frozen head, stay as given.
        head._project_changed(before)


register_optimizer_step_pre_hook(_begin_step)
register_optimizer_step_post_hook(_end_step)
