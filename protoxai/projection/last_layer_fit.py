"""The last layer as a convex problem: cross-entropy plus off-class L1, solved to its optimum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 16_384
"""Number of cells that are multiplied at once."""
MOST_STEPS = 2000
ROUND = 100
"""Number of steps after which the variables are scaled anew."""
TOLERANCE = 1e-6
"""Largest violation of the conditions of the optimum, in variables of curvature about 1."""
PROGRESS = 1e-7
"""Decrease of the loss in a round below which the optimum counts as reached."""
Vector = NDArray[np.float64]


class Solution(NamedTuple):
    """What :meth:`LastLayerProblem.solve` returns.

    Attributes:
        weight: Weights of the last layer, float64, in the shape of the head's.
        steps: Number of steps.
        converged: Whether the optimum is reached.
    """

    weight: Tensor
    steps: int
    converged: bool


@dataclass(frozen=True)
class LastLayerProblem:
    """Cross-entropy over cells plus off-class L1, as a function of the last layer's weights.

    A unit's weight for its own class is at least 0, or, if it is below 0 at the start, at least
    what it is there. With variables for the positive and the negative part of each off-class
    weight, the L1 term is linear and the problem smooth, with bounds. It is solved by L-BFGS-B
    (Byrd et al., SIAM J. Sci. Comput. 16(5), 1995), in float64, in rounds with variables that are
    scaled by their curvature: scores of groups are exponentials, of very different sizes.

    Args:
        units: Values (n, U) of each cell: activations of prototypes or scores of groups.
        labels: Class of each cell, int64 (n,).
        importance: Weight of each cell in the mean, float64 (n,), at least 0, with sum 1.
        own: Whether each unit belongs to each class, bool (C, U).
        tied: Whether the last layer is tied: one weight of each unit for all other classes.
        off_class_l1: Weight of the L1 term.
    """

    units: Tensor
    labels: Tensor
    importance: Tensor
    own: Tensor
    tied: bool
    off_class_l1: float

    def loss(self, weight: Tensor) -> float:
        """Return the loss of weights in the shape of the head's."""
        off_class = weight.detach().double()[~self._own_entries()].abs().sum()
        entropy, _ = self._cross_entropy(weight.detach().double())
        return entropy + float(self._penalty() * off_class)

    def predictions(self, weight: Tensor) -> Tensor:
        """Return the class of the largest logit of each cell, int64 (n,)."""
        dense = self._dense(weight.detach().double())
        return torch.cat([(dense @ part.double().T).argmax(0) for part in self.units.split(CHUNK)])

    def solve(self, start: Tensor) -> Solution:
        """Return the optimum, as far as it is reached in so many steps.

        Args:
            start: Weights to start from, in the shape of the head's.
        """
        weight = start.detach().double()
        lowest, loss, steps = weight.clamp_max(0), self.loss(weight), 0
        while steps < MOST_STEPS:
            weight, taken, reached, lower = self._descend(weight, lowest)
            steps += taken
            if reached or loss - lower <= PROGRESS:
                return Solution(weight, steps, converged=True)
            loss = lower
        return Solution(weight, steps, converged=False)

    def _descend(self, start: Tensor, lowest: Tensor) -> tuple[Tensor, int, bool, float]:
        """Take steps in variables that are scaled by the curvature at the start.

        Args:
            start: Weights to start from.
            lowest: Smallest value of each weight; that of off-class ones does not count.

        Returns:
            The weights, the number of steps, whether the conditions of the optimum hold, and the
            loss.
        """
        from scipy.optimize import Bounds, minimize

        size = self._curvature(start).sqrt()
        own = self._own_entries()
        penalty = (self._penalty() / size)[~own].cpu().numpy()
        count = int(own.sum())

        def weight_of(point: Vector) -> Tensor:
            values = torch.from_numpy(point).to(size.device)
            by_own, above, below = values.split([count, len(penalty), len(penalty)])
            weight = torch.empty_like(size)
            weight[own], weight[~own] = by_own, above - below
            return weight / size

        def objective(point: Vector) -> tuple[float, Vector]:
            entropy, gradient = self._cross_entropy(weight_of(point))
            gradient /= size
            by_own, by_other = (part.cpu().numpy() for part in (gradient[own], gradient[~own]))
            loss = entropy + float(np.tile(penalty, 2) @ point[count:])
            return loss, np.concatenate([by_own, penalty + by_other, penalty - by_other])

        by_own, other = (start * size)[own], (start * size)[~own]
        point = torch.cat([by_own, other.clamp_min(0), (-other).clamp_min(0)]).cpu().numpy()
        least = np.zeros_like(point)
        least[:count] = (lowest * size)[own].cpu().numpy()
        found = minimize(
            objective,
            point,
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(least, np.full_like(point, np.inf)),
            options={"maxiter": ROUND, "maxfun": 2 * ROUND, "maxcor": 30}
            | {"ftol": 0.0, "gtol": TOLERANCE},
        )
        violation = np.abs(found.x - np.maximum(found.x - found.jac, least)).max()
        reached = bool(violation <= TOLERANCE)
        return weight_of(found.x), int(found.nit), reached, float(found.fun)

    def _own_entries(self) -> Tensor:
        """Return which weights are for a unit's own class, bool in the shape of the head's."""
        if not self.tied:
            return self.own
        return torch.tensor([[True], [False]], device=self.own.device).expand(2, self.own.shape[1])

    def _penalty(self) -> float:
        """Return the factor of the L1 term of each off-class weight."""
        return self.off_class_l1 * (len(self.own) - 1 if self.tied else 1)

    def _dense(self, weight: Tensor) -> Tensor:
        return torch.where(self.own, weight[0], weight[1]) if self.tied else weight

    def _cross_entropy(self, weight: Tensor) -> tuple[float, Tensor]:
        """Return the mean cross-entropy and its gradient in the shape of the head's weights."""
        dense = self._dense(weight)
        loss, gradient = dense.new_zeros(()), torch.zeros_like(dense)
        for units, labels, importance in self._chunks():
            # Classes come first, since a softmax over the first dimension is several times faster.
            logs = (dense @ units.T).log_softmax(0)
            loss -= importance @ logs.gather(0, labels[None])[0]
            errors = logs.exp_()
            errors[labels, torch.arange(len(labels), device=labels.device)] -= 1
            gradient += (errors * importance) @ units
        if self.tied:
            of_own = gradient.where(self.own, 0).sum(0)
            gradient = torch.stack([of_own, gradient.sum(0) - of_own])
        return float(loss), gradient

    def _curvature(self, weight: Tensor) -> Tensor:
        """Return about the second derivative of the cross-entropy by each weight, above 0."""
        dense = self._dense(weight)
        curvature = torch.zeros_like(dense)
        for units, _, importance in self._chunks():
            shares = (dense @ units.T).softmax(0)
            # The constant is for classes that no cell is in doubt about yet.
            curvature += ((shares - shares.square() + 0.01) * importance) @ units.square()
        if self.tied:
            # A softmax is as curved in one logit as in all the others together.
            curvature = curvature.where(self.own, 0).sum(0).expand(2, -1)
        # A unit that is 0 in all cells may have any weight.
        return curvature.where(curvature > 0, 1)

    def _chunks(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Return units (k, U) in float64, labels (k,) and importance (k,), some cells at once."""
        parts = (each.split(CHUNK) for each in (self.units, self.labels, self.importance))
        for units, labels, importance in zip(*parts, strict=True):
            yield units.double(), labels, importance
