"""A stage of training as a Lightning module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from protoxai.losses import ScaleProtoSegLoss
from protoxai.model import ScaleProtoSeg
from protoxai.segmenter import Segmenter
from protoxai.training.optimisation import (
    build_optimizer,
    build_schedule,
    frozen_modules,
    keep_feasible,
    train_only,
)
from protoxai.training.recipe import Stage


class StageModule(lightning.LightningModule):
    """Trains a model for one stage; batches hold images, or embeddings computed before.

    Args:
        model: the model, changed in place.
        stage: what to train and how.
        criterion: the stage's loss.
    """

    def __init__(self, model: Segmenter, stage: Stage, criterion: ScaleProtoSegLoss) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.criterion = criterion
        train_only(model, stage)

    def training_step(self, batch: Mapping[str, Any]) -> Tensor:
        """Return the loss of a batch; every term is logged."""
        model = self.model
        if isinstance(model, ScaleProtoSeg):
            cached = batch.get("embedding")
            output = model(batch["image"]) if cached is None else model.decide(cached)
            terms = self.criterion(output, batch["labels"], model.head)
        else:
            terms = self.criterion(model(batch["image"]), batch["labels"])
        detached = {f"train/{name}": term.detach() for name, term in terms.items()}
        self.log_dict(detached, batch_size=len(batch["labels"]))
        loss: Tensor = terms["loss"]
        return loss

    def on_train_start(self) -> None:
        """Train, but hold the statistics of frozen parts still."""
        self.model.train()
        for module in frozen_modules(self.model, self.stage):
            module.eval()

    def configure_optimizers(self) -> Any:
        """Return the stage's optimizer and its schedule over optimizer steps."""
        optimizer = build_optimizer(self.model, self.stage)
        schedule = {"scheduler": build_schedule(optimizer, self.stage), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then bring prototypes and group weights back to where they may be."""
        super().optimizer_step(*args, **kwargs)
        keep_feasible(self.model, self.stage)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move the batch; images in channels-last order, which convolutions prefer."""
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if "image" in moved:
            moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
        return moved
