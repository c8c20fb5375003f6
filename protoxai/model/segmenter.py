"""Base of the segmentation models: trunk with input scales, prediction, and model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai import folders
from protoxai.backbones import create_backbone
from protoxai.model.options import TrunkOptions, to_config
from protoxai.model.prediction import predicted_labels
from protoxai.runtime.checks import Range, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize
from protoxai.scales import PyramidScales, create_scales

FORMAT = 1
NUM_CLASSES = Range(least=1, most=100_000)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Segmenter(nn.Module):
    """Base of the models: backbone, scales, input scales, prediction, saving and loading.

    A subclass calls this constructor with the number of channels that it needs per scale, and
    returns an object whose ``logits`` are (B, C, h, w) from ``forward``.

    Args:
        backbone: ``"timm/<name>"``, ``"torchvision/<name>"``, ``"deeplabv2/<resnet>"``, or a module
            that returns a map, a list of maps or a dict of maps.
        num_classes: Number of classes C.
        scales: "atrous", "atrous-sum", "pyramid", or a module with ``num_scales`` and ``dim`` that
            maps a list of feature maps to (B, S, D, h, w).
        dim: Number of channels D of each scale.
        options: All options of the model, from :func:`~protoxai.model.options.complete`.

    Raises:
        ValueError: If an argument does not fit.
    """

    def __init__(
        self,
        backbone: str | nn.Module,
        num_classes: int,
        *,
        scales: str | nn.Module,
        dim: int,
        options: TrunkOptions,
    ) -> None:
        super().__init__()
        self.num_classes = whole("num_classes", num_classes, NUM_CLASSES)
        self.class_names = _check_class_names(options["class_names"], num_classes)
        self.input_scales = _check_input_scales(options["input_scales"])
        self.freeze_batchnorm = options["freeze_batchnorm"]
        pyramid = isinstance(scales, PyramidScales) or scales == "pyramid"
        levels = options["feature_levels"]
        self.backbone = create_backbone(
            backbone,
            pretrained=options["pretrained"],
            output_stride=options["output_stride"],
            levels="pyramid" if levels is None and pyramid else levels,
            feature_channels=options["feature_channels"],
        )
        self.scales: Any = create_scales(
            scales,
            self.backbone.channels,
            dim,
            atrous_rates=options["atrous_rates"],
            init_gain=options["init_gain"],
        )
        self.config: dict[str, Any] = {
            "format": FORMAT,
            "architecture": type(self).__name__,
            "backbone": str(backbone) if isinstance(backbone, str) else None,
            "num_classes": self.num_classes,
            "scales": str(scales) if isinstance(scales, str) else None,
            **to_config(options),
        }
        self.train()

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of the RGB values, in [0, 1], with which images are normalised."""
        return self.backbone.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the RGB values, in [0, 1], with which images are normalised."""
        return self.backbone.std

    def scale_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the maps of all scales, before any activation.

        Args:
            images: Normalised images (B, 3, H, W).

        Returns:
            The pixel-wise maximum over the input scales, (B, S, D, h, w) on the full image's grid;
            and the maps of the full image and of each scaled one, each on its own grid (empty
            without input scales).
        """
        full = self.scales(self.backbone(images))
        if not self.input_scales:
            return full, ()
        scaled = []
        for factor in self.input_scales:
            # Given a factor rather than a size, this samples at steps of exactly 1 / factor.
            smaller = F.interpolate(
                images, scale_factor=factor, mode="bilinear", align_corners=False
            )
            scaled.append(self.scales(self.backbone(smaller)))
        maximum = full
        for maps in scaled:
            resized = resize(maps.flatten(1, 2), full.shape[3:]).view_as(full)
            maximum = torch.maximum(maximum, resized)
        return maximum, (full, *scaled)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return only the logits (B, C, h, w) of normalised images (B, 3, H, W), without gradient.

        The model's mode is kept. This takes less memory and time than the model's full output.
        """
        logits: Tensor = self(images).logits
        return logits

    def predict(self, images: Tensor) -> Tensor:
        """Return the label of every pixel, int64 (B, H, W), at the images' resolution.

        The model runs in evaluation mode; its own mode is restored.
        """
        with evaluating(self):
            return predicted_labels(self.logits(images), images.shape[2:])

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freeze_batchnorm:
            for module in self.backbone.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval().requires_grad_(False)
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model to a folder: ``model.safetensors`` and JSON, never pickle.

        Args:
            folder: Folder, created if missing.
        """
        folders.write_folder(folder, self._documents(), self.state_dict())

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        backbone: nn.Module | None = None,
        scales: nn.Module | None = None,
    ) -> Self:
        """Load a model, in evaluation mode, from a folder or a hub id.

        Args:
            source: Folder written by :meth:`save_pretrained`, or a hub id ``owner/name``.
            backbone: The user's own backbone, if the model was built with one.
            scales: The user's own scales, if the model was built with some.

        Raises:
            ValueError: If the folder is missing, damaged or of another kind of model.
        """
        files, tensors = folders.read_folder(source)
        config = dict(files[folders.CONFIG])
        if config.pop("architecture", None) != cls.__name__:
            kind = files[folders.CONFIG].get("architecture")
            raise ValueError(f"{source} holds a {kind}, not a {cls.__name__}: load it with {kind}")
        if config.pop("format", None) != FORMAT:
            raise ValueError(f"{source} has another format than {FORMAT}: update protoxai")
        for name, module in (("backbone", backbone), ("scales", scales)):
            if module is not None:
                config[name] = module
            if config.get(name) is None:
                raise ValueError(
                    f"{source} was built with its own {name} module: pass it as "
                    f"from_pretrained(..., {name}=module)"
                )
        config["pretrained"] = False
        try:
            model = cls._from_config(config, files)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"the config in {source} is damaged ({error}): save the model again, or update "
                "protoxai"
            ) from error
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(f"the weights in {source} do not fit its config: {error}") from error
        return model.eval()

    @classmethod
    def _from_config(cls, config: dict[str, Any], documents: dict[str, Any]) -> Self:
        """Build the model, without its weights, from its configuration and its other documents."""
        del documents
        return cls(**config)

    def _documents(self) -> dict[str, Any]:
        return {folders.CONFIG: self.config}


def _check_class_names(names: Sequence[str] | None, num_classes: int) -> tuple[str, ...] | None:
    if isinstance(names, str):
        raise ValueError(f"class_names is {names!r}, expected a list of {num_classes} names")
    if names is not None and len(names) != num_classes:
        raise ValueError(f"got {len(names)} class_names, expected {num_classes}: one per class")
    return None if names is None else tuple(names)


def _check_input_scales(factors: Sequence[float]) -> tuple[float, ...]:
    if not isinstance(factors, Sequence) or not all(map(_is_input_scale, factors)):
        raise ValueError(
            f"input_scales are {factors}, expected positive factors other than 1, such as "
            "(0.5, 0.75): the full image is always included"
        )
    return tuple(factors)


def _is_input_scale(factor: object) -> bool:
    return isinstance(factor, int | float) and factor > 0 and factor != 1
