"""A stage of training as a Lightning module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.losses import ScaleProtoSegLoss, group_entropy_loss
from protoxai.metrics import active_prototypes
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import is_distributed, rank
from protoxai.runtime.finite import check_images, not_finite
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.stage_recipe import Stage
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages.optimisation import (
    build_optimizer,
    build_schedule,
    keep_feasible,
    train_only,
    training_mode,
)


class StageModule(lightning.LightningModule):
    """Trains a model for one stage, on batches of images or of cached embeddings.

    Args:
        model: Model to train, in place.
        stage: Stage with its parts, optimizer and schedule.
        criterion: Loss of the stage.
        seed: Seed of dropout and the like; every batch has its own, independent of those before.
        start: Number of optimizer steps of the stage that are done already.
        previous_steps: Number of optimizer steps of the stages before, for the logs.
        optimizer_state: State of the optimizer after ``start`` steps.
        log_every: Number of optimizer steps between entries of the logs.
    """

    def __init__(
        self,
        model: Segmenter,
        stage: Stage,
        criterion: ScaleProtoSegLoss,
        *,
        seed: int = 0,
        start: int = 0,
        previous_steps: int = 0,
        optimizer_state: dict[str, Any] | None = None,
        log_every: int = 10,
    ) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.criterion = criterion
        self.seed = seed
        self.start = start
        self.previous_steps = previous_steps
        self.optimizer_state = optimizer_state
        self.log_every = log_every
        train_only(model, stage)

    @property
    def step(self) -> int:
        """Number of optimizer steps of the stage that are done."""
        return self.start + (self.global_step if self._trainer is not None else 0)

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log its terms."""
        torch.manual_seed(
            mixed_seed(
                self.seed, self.start * self.stage.accumulate_grad_batches + batch_idx, rank()
            )
        )
        model = self.model
        if isinstance(model, ScaleProtoSeg):
            cached = batch.get("embedding")
            output = model(batch["image"]) if cached is None else model.forward_embedding(cached)
            terms = self.criterion(output, batch["labels"], model.head)
        else:
            terms = self.criterion(model(batch["image"]), batch["labels"])
        loss: Tensor = terms["loss"]
        if not bool(loss.isfinite()):
            self._raise_not_finite(terms, batch)
        self._log_terms(terms, len(batch["labels"]))
        return loss

    def on_train_start(self) -> None:
        """Set training mode, except for the batch statistics of frozen parts."""
        training_mode(self.model, self.stage)

    def configure_optimizers(self) -> Any:
        """Return the stage's optimizer and its schedule over optimizer steps."""
        optimizer = build_optimizer(self.model, self.stage)
        if self.optimizer_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
        schedule = build_schedule(optimizer, self.stage, self.start)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then bring bounded prototypes back; the head projects its group weights itself."""
        super().optimizer_step(*args, **kwargs)
        keep_feasible(self.model, self.stage)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move the batch, with images in channels-last order, which is faster for convolutions."""
        if "image" in batch:
            check_images(batch["image"], batch.get("id"))
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if "image" in moved:
            moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
        return moved

    def _log_terms(self, terms: dict[str, Tensor], batch_size: int) -> None:
        """Log the loss terms, the learning rates and the state of the head."""
        self.log("loss", terms["loss"].detach(), logger=False, batch_size=batch_size)
        # Lightning writes to the logs every so many steps, and counts the current one.
        if (self.global_step + 1) % self.log_every:
            return
        logged = {f"train/{name}": term.detach() for name, term in terms.items()}
        head = getattr(self.model, "head", None)
        if head is not None:
            active = float(len(active_prototypes(head)))
            logged["prototypes/active"] = terms["loss"].new_tensor(active)
        if isinstance(head, SparseGroupHead):
            logged["prototypes/group_entropy"] = group_entropy_loss(head).detach()
        for group in self.trainer.optimizers[0].param_groups:
            logged[f"learning_rate/{group['name']}"] = terms["loss"].new_tensor(group["lr"])
        # Lightning uses a value of this name as the x-axis of the logs.
        logged["step"] = terms["loss"].new_tensor(float(self.previous_steps + self.step + 1))
        self.log_dict(logged, batch_size=batch_size, sync_dist=is_distributed())

    def _raise_not_finite(self, terms: dict[str, Tensor], batch: Mapping[str, Any]) -> None:
        values = ", ".join(f"{name} {float(term.detach()):.4g}" for name, term in terms.items())
        weights = not_finite(self.model)
        ruined = f"; weights that are NaN or infinite: {weights}" if weights else ""
        names = batch.get("id")
        images = f" for the images {', '.join(names)}" if names else ""
        raise RunError(
            f"stage {self.stage.name}, step {self.step}: the loss is not finite ({values})"
            f"{images}{ruined}: check those, lower the learning rates, or use precision 32-true; "
            "the last checkpoint is intact"
        )
