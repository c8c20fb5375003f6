"""One stage of a recipe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from protoxai.losses import loss_terms
from protoxai.runtime.checks import AT_LEAST_ONE, FINITE, Range, did_you_mean, short, shown
from protoxai.runtime.slug import slug
from protoxai.training.recipes.construct import check_fields
from protoxai.training.recipes.yaml_files import RecipeError

PARTS = ("backbone", "scales", "prototypes", "groups", "last_layer")
BEFORE_PROJECTION = ("backbone", "scales", "prototypes")
"""Parts whose training makes the patches of an earlier projection wrong."""
Action = Literal["initialise", "project", "prune", "group", "threshold"]
STEPS = Range(least=1, most=10**9)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training, with the actions before and after it.

    Attributes:
        name: Short name, for files and tables.
        steps: Number of optimizer steps.
        before: Actions before the training, in order: initialise (prototypes by k-means), group.
        after: Actions after the training, in order: project, prune (drops a prototype if fewer than
            3 of its 6 nearest training patches have a pixel of its class), threshold; the model is
            evaluated after each.
        learning_rates: Learning rate of each part: backbone, scales, prototypes, groups,
            last_layer. A part without one is frozen.
        weight_decay: Weight decay of each part; 0 for parts that are not listed.
        losses: Weight of each term of :class:`~protoxai.losses.ScaleProtoSegLoss`; 0 for terms
            that are not listed.
        optimizer: Optimizer: adam (weight decay as L2 penalty) or adamw.
        schedule: Schedule of the learning rates: constant, or polynomial decay to 0.
        power: Exponent of the polynomial decay.
        warmup_steps: Number of optimizer steps in which the learning rates rise linearly.
        accumulate_grad_batches: Batches per optimizer step (gradient accumulation).
        cached_views: Number of augmented views per image whose embeddings are computed once and
            trained on; 0: embed at every step. For stages that train the head only.
        batch_size: Number of images per batch and process; null: that of the data.
        num_groups: Number of groups per class, for the action group.
        threshold: Smallest group weight that the action threshold keeps.
        validate: When to measure the validation accuracy (the share of labelled pixels that are
            right, at feature resolution) during training: never, once per epoch, or after every so
            many batches, a multiple of accumulate_grad_batches.
        patience: Number of validations without a better accuracy after which the stage stops;
            null: it never stops early.
        keep_best: Whether to end with the weights of the best validation.
    """

    name: str
    steps: Annotated[int, STEPS]
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    learning_rates: Annotated[dict[str, float], Range(above=0, most=1000)]
    weight_decay: Annotated[dict[str, float], Range(least=0, most=1000)] = field(
        default_factory=dict
    )
    losses: Annotated[dict[str, float], FINITE] = field(
        default_factory=lambda: {"cross_entropy": 1.0}
    )
    optimizer: Literal["adam", "adamw"] = "adam"
    schedule: Literal["constant", "polynomial"] = "constant"
    power: Annotated[float, Range(least=0, most=100)] = 0.9
    warmup_steps: Annotated[int, Range(least=0, most=10**9)] = 0
    accumulate_grad_batches: Annotated[int, Range(least=1, most=10**6)] = 1
    cached_views: Annotated[int, Range(least=0, most=10_000)] = 0
    batch_size: Annotated[int | None, Range(least=1, most=65_536)] = None
    num_groups: Annotated[int, Range(least=1, most=1000)] = 3
    threshold: Annotated[float, Range(least=0, below=1)] = 0.05
    validate: Annotated[int | Literal["never", "epoch"], STEPS] = "never"
    patience: Annotated[int | None, AT_LEAST_ONE] = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        """Check every key, and what types cannot express."""
        check_fields(self)
        check_name("the name of a stage", self.name)
        place = f"stage {short(self.name)}"
        for key in ("learning_rates", "weight_decay"):
            _check_names(f"{place}: {key}", getattr(self, key), PARTS)
        _check_names(f"{place}: losses", self.losses, loss_terms())
        if not self.learning_rates:
            raise RecipeError(f"{place}: no learning_rates, so nothing would train")
        if not any(self.loss_weights.values()):
            raise RecipeError(f"{place}: all losses have the weight 0, so nothing would train")
        if self.validate == "never" and (self.patience is not None or self.keep_best):
            raise RecipeError(
                f"{place}: patience and keep_best need validations: set validate: epoch"
            )
        if isinstance(self.validate, int) and self.validate % self.accumulate_grad_batches:
            raise RecipeError(
                f"{place}: validate is {self.validate} batches, expected a multiple of the "
                f"{self.accumulate_grad_batches} batches of a step (accumulate_grad_batches)"
            )
        if self.cached_views and {"backbone", "scales"} & set(self.learning_rates):
            raise RecipeError(
                f"{place}: cached_views needs a frozen trunk, but it has a learning rate for "
                "backbone or scales: remove those, or set cached_views to 0"
            )

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights of the criterion, 0 for its default terms that the recipe leaves out."""
        return {"cross_entropy": 1.0, "prototype_diversity": 0.0, **self.losses}


def check_name(place: str, name: str) -> None:
    """Check that a name can be printed and become a part of a file's name.

    Raises:
        RecipeError: If it cannot.
    """
    if not name.isprintable() or not slug(name):
        raise RecipeError(
            f"{place} is {shown(name)}, expected printable characters, a letter or digit among them"
        )


def _check_names(place: str, given: Mapping[str, float], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise RecipeError(
                f"{place} has no {shown(name)}{did_you_mean(name, known)}; expected some of "
                f"{', '.join(sorted(known))}"
            )
