"""What every segmentation model here shares: a trunk with input scales, labels, and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai import folders
from protoxai.backbones import create_backbone
from protoxai.model.options import (
    DEFAULTS,
    TrunkOptions,
    build_scales,
    check_input_scales,
    plain,
)
from protoxai.model.prediction import predicted_labels
from protoxai.runtime.checks import positive
from protoxai.runtime.modes import evaluating
from protoxai.runtime.resize import resize
from protoxai.scales import PyramidScales

FORMAT = 1


class Segmenter(nn.Module):
    """Base of the models: backbone, scales, input scales, prediction, saving and loading.

    A subclass calls this constructor with the channels per scale it wants, and returns in
    ``forward`` something whose ``logits`` are (B, C, h, w).

    Args:
        backbone: "timm/<name>", "torchvision/<name>", "deeplabv2/<resnet>" or a module.
        num_classes: number of classes C.
        scales: "atrous", "atrous-sum", "pyramid", or a module with ``num_scales`` and ``dim`` that
            maps a list of feature maps to (B, S, D, h, w).
        dim: channels D of each scale.
        config: constructor arguments of the subclass, for its folder.
        options: see :class:`TrunkOptions`.
    """

    def __init__(
        self,
        backbone: str | nn.Module,
        num_classes: int,
        *,
        scales: str | nn.Module,
        dim: int,
        config: dict[str, Any],
        **options: Unpack[TrunkOptions],
    ) -> None:
        super().__init__()
        unknown = sorted(set(options) - set(DEFAULTS))
        if unknown:
            raise TypeError(f"unknown options {unknown}, expected some of {sorted(DEFAULTS)}")
        chosen: TrunkOptions = {**DEFAULTS, **options}
        self.num_classes = positive("num_classes", num_classes)
        positive("dim", dim)
        names = chosen["class_names"]
        if isinstance(names, str):
            raise ValueError(f"class_names is {names!r}, expected a list of {num_classes} names")
        if names is not None and len(names) != num_classes:
            raise ValueError(f"{len(names)} class_names for {num_classes} classes: give one each")
        self.class_names = None if names is None else tuple(names)
        self.input_scales = check_input_scales(chosen["input_scales"])
        self.freeze_batchnorm = chosen["freeze_batchnorm"]
        pyramid = isinstance(scales, PyramidScales) or scales == "pyramid"
        levels = chosen["feature_levels"]
        self.backbone = create_backbone(
            backbone,
            pretrained=chosen["pretrained"],
            output_stride=chosen["output_stride"],
            levels="pyramid" if levels is None and pyramid else levels,
            feature_channels=chosen["feature_channels"],
        )
        self.scales: Any = build_scales(scales, self.backbone.channels, dim, chosen)
        self.config: dict[str, Any] = {
            "format": FORMAT,
            "architecture": type(self).__name__,
            "backbone": backbone if isinstance(backbone, str) else None,
            "num_classes": num_classes,
            "scales": scales if isinstance(scales, str) else None,
            **config,
            **{name: plain(value) for name, value in chosen.items() if name != "pretrained"},
        }
        self.train()

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of the RGB values in [0, 1] by which images are normalised."""
        return self.backbone.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of the RGB values in [0, 1] by which images are normalised."""
        return self.backbone.std

    def scale_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the maps of all scales before any activation, the maximum over input scales.

        Args:
            images: normalised (B, 3, H, W).

        Returns:
            The pixel-wise maximum (B, S, D, h, w), on the full image's grid, and the maps of the
            full image and of each scaled one, each on its own (empty without input scales).
        """
        full = self.scales(self.backbone(images))
        if not self.input_scales:
            return full, ()
        # A scale factor without recomputing it samples at steps of exactly 1 / factor.
        scaled = [
            self.scales(
                self.backbone(
                    F.interpolate(images, scale_factor=p, mode="bilinear", align_corners=False)
                )
            )
            for p in self.input_scales
        ]
        maximum = full
        for maps in scaled:
            resized = resize(maps.flatten(1, 2), full.shape[3:]).view_as(full)
            maximum = torch.maximum(maximum, resized)
        return maximum, (full, *scaled)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return only the logits (B, C, h, w) of normalised images (B, 3, H, W), without gradient.

        In the model's present mode; in less memory and time than the model's whole output.
        """
        logits: Tensor = self(images).logits
        return logits

    def predict(self, images: Tensor) -> Tensor:
        """Return the label of every pixel, int64 (B, H, W), at the images' resolution.

        Runs in evaluation mode; the model's mode is restored.
        """
        with evaluating(self):
            return predicted_labels(self.logits(images), images.shape[2:])

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freeze_batchnorm:
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval().requires_grad_(False)
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model to a folder: ``model.safetensors`` and JSON, never pickle."""
        folders.write_folder(folder, self._documents(), self.state_dict())

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        backbone: nn.Module | None = None,
        scales: nn.Module | None = None,
    ) -> Self:
        """Read a model from a folder or a hub id.

        Args:
            source: folder written by :meth:`save_pretrained`, or a hub id ``owner/name``.
            backbone: needed if the model was built around the user's own module.
            scales: needed if it was built with the user's own scales.

        Raises:
            ValueError: if the folder is missing, damaged or of another kind of model.
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
                    f"{source} was built with its own {name} module: give it as "
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
        """Build the model, but for its weights, from its configuration and its other documents."""
        del documents
        return cls(**config)

    def _documents(self) -> dict[str, Any]:
        return {folders.CONFIG: self.config}
