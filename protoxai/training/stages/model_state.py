"""The model in a checkpoint: tensors and plain values only."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.prototypes.projection import Projection
from protoxai.prototypes.provenance import Provenance
from protoxai.training.stages.checkpoints import State


def model_state(model: Segmenter) -> State:
    """Return the weights of a model, and what the projection has kept of its prototypes.

    Args:
        model: Model of the run.
    """
    state: State = {"structure": None, "model": model.state_dict(), "provenance": None}
    if isinstance(model, ScaleProtoSeg):
        state["structure"] = model.structure()
        state["prototype_files"] = {
            name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
            for name, content in model.binary_files().items()
        }
        if model.provenance is not None:
            state["provenance"] = [entry.to_config() for entry in model.provenance]
    return state


def restore_model(model: Segmenter, state: State) -> None:
    """Load a model from a checkpoint, in place.

    Args:
        model: Model of the run.
        state: Content of the checkpoint; those of earlier versions have no pictures.
    """
    if isinstance(model, ScaleProtoSeg):
        model.restructure(state["structure"])
    model.load_state_dict(state["model"])
    if isinstance(model, ScaleProtoSeg) and state["provenance"] is not None:
        entries = map(Provenance.from_config, state["provenance"])
        model.projection = Projection.of(model.prototype_layer.prototypes, tuple(entries))
        files: dict[str, Tensor] = state.get("prototype_files", {})
        model.adopt_binary_files({name: file.numpy().tobytes() for name, file in files.items()})
