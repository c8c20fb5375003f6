"""Estimates of a comparison, and differences of its explainers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch

from protoxai.comparison.block import Block
from protoxai.comparison.result import Result
from protoxai.comparison.tasks import TaskName
from protoxai.metrics.base.intervals import LEAST_GROUPS, Estimate, estimate
from protoxai.metrics.base.paired import Difference, paired_difference
from protoxai.metrics.base.significance import holm, resolvable_difference
from protoxai.runtime.checks import did_you_mean

LEVEL = 0.05
"""Corrected p value below which two explainers are distinguished."""


@dataclass(frozen=True)
class Measurements:
    """What was measured: estimates of figures, and differences of explainers.

    Attributes:
        results: Result of each explainer and metric.
        seed: Seed of the metrics and of the tests.
        tasks: Image, class and group of each task; without them each task is its own group.
        group_noun: What the groups are, in the plural.
        model_seeds: Number of trainings of each model that the values are means over.
        left_out: Lines that say which metrics and tasks are left out, and why.
    """

    results: tuple[Result, ...]
    seed: int = 0
    tasks: tuple[TaskName, ...] = ()
    group_noun: str = "groups"
    model_seeds: int = 1
    left_out: tuple[str, ...] = ()

    @property
    def explainers(self) -> list[str]:
        """Names of the rows."""
        return list(dict.fromkeys(result.explainer for result in self.results))

    @property
    def figures(self) -> dict[str, bool | None]:
        """Names of the columns, and whether higher is better."""
        return {name: up for result in self.results for name, up in result.figures.items()}

    def blocks(self) -> list[Block]:
        """Return the explainers of each model."""
        models: dict[str, dict[str, bool]] = defaultdict(dict)
        for result in self.results:
            models[result.model][result.explainer] = result.reference
        return [
            Block(
                model,
                tuple(name for name, reference in names.items() if not reference),
                tuple(name for name, reference in names.items() if reference),
            )
            for model, names in models.items()
        ]

    def __getitem__(self, key: tuple[str, str]) -> Estimate | None:
        """Return the estimate of an explainer's figure; None if it is defined for no task.

        The mean is over the tasks for which the explainer has the figure; the interval is over
        their groups.
        """
        result = self._result(*key)
        values = {} if result is None else result.values(key[1])
        if result is None or not values:
            return None
        own = torch.tensor(list(values.values()), dtype=torch.float64)
        value = estimate(own, groups=self._groups(values), share=key[1] in result.shares)
        return value._replace(undefined=len(result.indices) - len(values))

    def difference(self, first: str, second: str, figure: str) -> Difference:
        """Return the paired difference of two explainers, over the tasks that both have.

        Args:
            first: Name of an explainer.
            second: Name of another one.
            figure: Name of a figure that both have.

        Returns:
            The difference, first minus second, with its interval over groups, the p value of a
            sign-flip test, and wins, ties and losses of the first. Where higher is not better, the
            lower value wins.

        Raises:
            ValueError: If there is no such explainer or figure.

        Example:
            >>> one, other = (
            ...     Result(name, "m", {"m": True}, (4, 9), ((value,), (value,)), 0.1, "")
            ...     for name, value in (("red", 0.75), ("blue", 0.5))
            ... )
            >>> difference = Measurements((one, other)).difference("red", "blue", "m")
            >>> difference.mean, difference.wins, difference.tasks
            (0.25, 2, 2)
        """
        key = first, second, figure
        if key not in self._differences:
            self._differences[key] = self._difference(*key)
        return self._differences[key]

    def _difference(self, first: str, second: str, figure: str) -> Difference:
        measured = []
        for explainer in (first, second):
            result = self._result(explainer, figure)
            if result is None:
                names = self.figures if explainer in self.explainers else self.explainers
                given = figure if explainer in self.explainers else explainer
                raise ValueError(
                    f"there is no {given!r}{did_you_mean(given, names)}; expected one of "
                    f"{', '.join(names)}"
                )
            measured.append(result.values(figure))
        shared = [task for task in measured[0] if task in measured[1]]
        pairs = [torch.tensor([values[t] for t in shared]).double() for values in measured]
        return paired_difference(
            *pairs,
            groups=self._groups(shared),
            higher_is_better=self.figures[figure] is not False,
            seed=self.seed,
        )

    def family(self, first: str, others: list[str], figure: str) -> dict[str, Difference]:
        """Return the differences of an explainer and others, see :meth:`corrected`.

        Args:
            first: Name of an explainer.
            others: Names of the others; those that have no task in common with it are left out.
            figure: Name of a figure.
        """
        pairs = self.corrected([(first, other) for other in others], figure)
        return {other: difference for (_, other), difference in pairs.items()}

    def corrected(
        self, pairs: Sequence[tuple[str, str]], figure: str
    ) -> dict[tuple[str, str], Difference]:
        """Return the differences of pairs of explainers, corrected by Holm for their number.

        That are the p values, and the differences that can be resolved. Below five groups there is
        no test, so p is NaN.

        Args:
            pairs: Names of two explainers each; pairs that have no task in common are left out.
            figure: Name of a figure.
        """
        known = [pair for pair in pairs if self[pair[0], figure] and self[pair[1], figure]]
        differences = {pair: self.difference(*pair, figure) for pair in known}
        differences = {pair: d for pair, d in differences.items() if d.tasks}
        p_values = [d.p if d.groups >= LEAST_GROUPS else math.nan for d in differences.values()]
        number = sum(p == p for p in p_values)
        for (pair, d), p in zip(differences.items(), holm(p_values), strict=True):
            resolvable = math.nan
            if p == p:
                resolvable = resolvable_difference((d.high - d.low) / 2, d.groups, number)
            differences[pair] = d._replace(p=p, resolvable=resolvable)
        return differences

    def between_models(self, figure: str) -> dict[tuple[str, str], Difference]:
        """Return the differences of the models' first explainers, see :meth:`corrected`.

        Args:
            figure: Name of a figure.
        """
        chosen = [block.chosen for block in self.blocks() if block.explainers]
        return self.corrected(list(combinations(chosen, 2)), figure)

    def best(self, block: Block, figure: str) -> set[str]:
        """Return the explainers of a block with the best value of a figure, or close to it.

        These are the one with the best mean that no other is better than by a paired test, and
        those that the test does not distinguish from it. Neither references nor explainers with
        values in less than five groups compete. Without a direction, with a single explainer, and
        with too few groups for the test to distinguish any, there is none.
        """
        up = self.figures[figure]
        values = {n: value for n in block.explainers if (value := self[n, figure])}
        means = {n: value.mean for n, value in values.items() if value.groups >= LEAST_GROUPS}
        if up is None or len(means) < 2:
            return set()
        # The means may be over different tasks, so that the best one alone does not decide.
        for best in sorted(means, key=means.__getitem__, reverse=up):
            family = self.family(best, [name for name in means if name != best], figure)
            apart = {name: d for name, d in family.items() if distinguished(d)}
            if any((d.mean < 0) == up for d in apart.values()):
                continue
            if all(math.isnan(d.resolvable) for d in family.values()):
                return set()
            tested = {name for name, d in family.items() if d.groups >= LEAST_GROUPS}
            return {best} | tested - set(apart)
        return set()

    def failures(self) -> list[str]:
        """Return a line for each failure: whose it is, why, and the number of tasks it leaves.

        That a metric is not defined for a reference, which has no units, is none.
        """
        owners: dict[tuple[str, str, int], list[str]] = defaultdict(list)
        for result in self.results:
            undefined = result.complete and not result.indices
            if result.failure and not (result.reference and undefined):
                key = result.metric, result.failure, len(result.indices)
                owners[key].append(result.explainer)
        return [
            f"{self._listed(names, self.explainers)}, {metric}: {failure} (n = {count})"
            for (metric, failure, count), names in owners.items()
        ]

    def undefined(self, figures: Collection[str] | None = None) -> list[str]:
        """Return a line for figures that are undefined for some tasks: for whom, and why.

        Args:
            figures: Names of the figures; None for all.

        Example:
            >>> rows = ((0.5,), (float("nan"),))
            >>> reasons = ("", "the map is 0 everywhere")
            >>> result = Result("red", "sparseness", {"sparseness": True}, (4, 9), rows, 0.1, "",
            ...                 reasons=reasons)
            >>> Measurements((result,)).undefined()
            ['sparseness: undefined on 1 task for red (the map is 0 everywhere)']
        """
        figures_of: dict[str, list[str]] = defaultdict(list)
        for figure in self.figures if figures is None else figures:
            measured = [r for r in self.results if figure in r.figures and r.indices]
            owners: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
            for result in measured:
                for reason, count in result.undefined(figure).items():
                    owners[reason][count].append(result.explainer)
            among = [result.explainer for result in measured]
            for reason, by_count in owners.items():
                parts = [
                    f"on {count} task{'s' * (count > 1)} for {self._listed(names, among)}"
                    for count, names in by_count.items()
                ]
                figures_of[f"undefined {', '.join(parts)} ({reason})"].append(figure)
        return [f"{', '.join(names)}: {why}" for why, names in figures_of.items()]

    def estimates(self) -> Iterator[tuple[Result, str, Estimate, str]]:
        """Yield each result and figure, its estimate, and the reason why it lacks tasks."""
        for result in self.results:
            for figure in result.figures:
                value = self[result.explainer, figure]
                undefined = result.undefined(figure).items()
                reasons = [result.failure, *(f"on {count} ({why})" for why, count in undefined)]
                if value is None:
                    value = Estimate(math.nan, math.nan, math.nan, 0, 0, len(result.indices))
                yield result, figure, value, "; ".join(filter(None, reasons))

    def _listed(self, names: Sequence[str], among: Sequence[str]) -> str:
        """Return names of explainers, in short where they are all of some, or of some model's."""
        if len(names) == len(among) > 1:
            return "all explainers"
        listed = []
        for block in self.blocks():
            own = [name for name in block.explainers + block.references if name in among]
            given = [name for name in own if name in names]
            missing = [block.short(name) for name in own if name not in names]
            if block.model and len(given) > max(1, 2 * len(missing)):
                but = f" but {', '.join(missing)}" if missing else ""
                listed.append(f"all of {block.model}{but}")
            else:
                listed += given
        return ", ".join(listed)

    def _result(self, explainer: str, figure: str) -> Result | None:
        return self._by_figure.get((explainer, figure))

    @cached_property
    def _differences(self) -> dict[tuple[str, str, str], Difference]:
        """The differences that were asked for: tables, sentences and pictures share them."""
        return {}

    @cached_property
    def _by_figure(self) -> dict[tuple[str, str], Result]:
        return {(r.explainer, figure): r for r in self.results for figure in r.figures}

    def _groups(self, tasks: dict[int, float] | list[int]) -> list[int | str | None]:
        known = {name.task: name.group for name in self.tasks}
        return [known.get(task, task) for task in tasks]


def distinguished(difference: Difference) -> bool:
    """Return whether a difference with a corrected p value shows that two explainers differ."""
    return difference.p < LEVEL
