"""Base of the segmentation models: trunk with input scales, prediction, and model folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai import folders
from protoxai.backbones import create_backbone
from protoxai.model.config import NUM_CLASSES, to_config
from protoxai.model.finiteness import check_result
from protoxai.model.option_values import plain_value
from protoxai.model.options import TrunkOptions, differing_arguments, options_of
from protoxai.model.prediction import predicted_labels
from protoxai.model.preprocessing import ImageInput, prepare
from protoxai.model.stored_model import StoredModel
from protoxai.runtime.checks import whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.names import check_class_names
from protoxai.runtime.representation import call_repr
from protoxai.runtime.resize import resize
from protoxai.scales import PyramidScales, create_scales

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Segmenter(StoredModel):
    """Base of the models: backbone, scales, input scales, prediction, saving and loading.

    A subclass calls this constructor with the number of channels that it needs per scale, and
    returns an object whose ``logits`` are (B, C, h, w) from ``forward``.

    Args:
        backbone: ``"timm/<name>"``, ``"torchvision/<name>"``, ``"deeplabv2/<resnet>"``,
            ``"unet"``, or a module that returns a map, a list of maps or a dict of maps.
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
        self.input_scales = _check_input_scales(options["input_scales"])
        self.freeze_batchnorm = options["freeze_batchnorm"]
        pyramid = isinstance(scales, PyramidScales) or (
            isinstance(scales, str) and scales == "pyramid"
        )
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
            "architecture": type(self).__name__,
            "backbone": str(backbone) if isinstance(backbone, str) else None,
            "num_classes": self.num_classes,
            "scales": str(scales) if isinstance(scales, str) else None,
            **to_config(options),
        }
        self.class_names = options["class_names"]
        arguments = {"backbone": backbone, "num_classes": num_classes, "scales": scales, **options}
        self._call = call_repr(self, **differing_arguments(type(self), arguments))
        self.train()

    def __repr__(self) -> str:
        return self._call

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the labels; None if they are unknown."""
        names = self.config["class_names"]
        return None if names is None else tuple(names)

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        names = _names_per_class(names, self.num_classes)
        self.config["class_names"] = None if names is None else list(names)

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
            # With a factor instead of a size, samples are exactly 1 / factor pixels apart.
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

        The model stays in its mode. This takes less memory and time than the model's full output.
        """
        logits: Tensor = self(images).logits
        check_result(self, images, logits)
        return logits

    def preprocess(self, image: ImageInput) -> Tensor:
        """Return an image as the model requires it: at its evaluation size, and normalised.

        An image is resized as in the model's evaluation, if its :attr:`evaluation_settings` name a
        size. A normalised tensor stays as it is. A file is turned as its camera noted, as viewers
        turn it; a Pillow image, like an array, is taken by its pixels.

        Args:
            image: Path of an 8-bit image file, Pillow image, uint8 array (H, W, 3), uint8 tensor
                (3, H, W) or (B, 3, H, W), or normalised floating-point tensor of these shapes.

        Returns:
            Normalised image (1, 3, h, w), or (B, 3, h, w) for a batch. It has the type and the
            device of the model's weights, unless a normalised tensor was given.

        Raises:
            TypeError: If the image is of another type, such as an array of floating-point numbers.
            ValueError: If it has another shape, more than 8 bits per channel, transparent pixels or
                several pages, or cannot be read.

        Example:
            >>> import numpy as np
            >>> from protoxai import LinearSegmenter
            >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2)
            >>> model.preprocess(np.zeros((32, 40, 3), dtype=np.uint8)).shape
            torch.Size([1, 3, 32, 40])
        """
        return prepare(self, image).pixels

    def predict(self, images: ImageInput) -> Tensor:
        """Return the label of every pixel, int64 (B, H, W), at the size of the image as given.

        The model runs in evaluation mode; its mode is restored afterwards. Threads may predict with
        the same model.

        Args:
            images: Normalised images (B, 3, H, W), or one image as :meth:`preprocess` takes it.

        Raises:
            TypeError: If an image is of another type.
            ValueError: If an image cannot be read or has another shape.
            NotFiniteError: If, on the CPU, a value is NaN or infinite.
        """
        pixels, _, size = prepare(self, images, "images")
        with evaluating(self):
            return predicted_labels(self.logits(pixels), size)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freeze_batchnorm:
            for module in self.backbone.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval().requires_grad_(False)
        return self

    def documents(self) -> dict[str, Any]:
        """Return the content of the JSON files of the model's folder, by file name."""
        documents = super().documents()
        documents[folders.CONFIG] |= {
            "input_scales": list(self.input_scales),
            "freeze_batchnorm": self.freeze_batchnorm,
        }
        return documents


def _names_per_class(names: Sequence[str] | None, num_classes: int) -> tuple[str, ...] | None:
    option = options_of(TrunkOptions)["class_names"]
    names = plain_value("class_names", names, option.type)
    if names is None:
        return None
    if len(names) != num_classes:
        raise ValueError(f"got {len(names)} class_names, expected {num_classes}: one per class")
    return check_class_names(names)


def _check_input_scales(factors: Sequence[float]) -> tuple[float, ...]:
    if 1 in factors:
        raise ValueError(
            f"input_scales are {factors}, expected factors other than 1, such as (0.5, 0.75): the "
            "full image is always included"
        )
    return tuple(factors)
