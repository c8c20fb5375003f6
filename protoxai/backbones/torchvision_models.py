"""Backbones of torchvision: classification families, and the trunks of segmentation models."""

import copy
import math
import re
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import Bottleneck

from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Colour
from protoxai.backbones.families import register_backbone
from protoxai.backbones.levels import Levels, choose_levels
from protoxai.backbones.sizes import dry_run, find_size_rule, passes
from protoxai.backbones.weights import StateDict, load_weights
from protoxai.runtime.checks import did_you_mean

Layout: TypeAlias = Literal["maps", "channels last", "tokens"]

_DILATED_STAGES = {8: (False, True, True), 16: (False, False, True)}
_HEADS = {"avgpool", "classifier", "fc", "head", "heads", "aux1", "aux2", "AuxLogits"}
# Both sides are multiples of every window and stride of the library, and their ratio is not a
# power of two, so that channels cannot be mistaken for pixels.
_TRIAL_SIZE = (896, 1344)
_NATIVE_SIZE = (224, 224)
_COARSEST = 64


def _classification() -> list[str]:
    names: list[str] = models.list_models(module=models)
    return names


def _segmentation() -> list[str]:
    names: list[str] = models.list_models(module=models.segmentation)
    return names


class Level(NamedTuple):
    """A module of a network whose output is a feature level.

    Attributes:
        name: Name of the module.
        channels: Channels of its output.
        reduction: Image pixels per pixel of its output.
        layout: Order of the output's dimensions.
    """

    name: str
    channels: int
    reduction: int
    layout: Layout


class TorchvisionBackbone(Backbone):
    """Feature levels of a torchvision model, created by `create_backbone("torchvision/<name>")`.

    Args:
        features: Network that returns a dict of the levels' outputs, in their order.
        levels: Feature levels, finest first.
        native: Image height and width that it was made for.
        mean: Mean with which images are normalised.
        std: Standard deviation with which images are normalised.
    """

    def __init__(
        self,
        features: nn.Module,
        levels: list[Level],
        *,
        native: tuple[int, int] = _NATIVE_SIZE,
        mean: Colour = IMAGENET_MEAN,
        std: Colour = IMAGENET_STD,
    ) -> None:
        reductions = tuple(level.reduction for level in levels)
        rule = find_size_rule(features, reductions, native)
        super().__init__(
            channels=tuple(level.channels for level in levels),
            reductions=reductions,
            mean=mean,
            std=std,
            divisor=rule.divisor,
            image_size=rule.image_size,
        )
        self.features = features
        self.levels = levels

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the chosen levels."""
        outputs = self.features(images)
        return [_as_map(outputs[level.name], level, images) for level in self.levels]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        # Copies of torchvision's extractor are in training mode, and have the graph of that mode.
        copied.features.train(self.features.training)
        for name, part in self.named_modules():
            copied.get_submodule(name).training = part.training
        return copied


@register_backbone("torchvision", names=lambda: [*_classification(), *_segmentation()])
def create_torchvision_backbone(
    name: str, *, weights: bool | StateDict, output_stride: int, levels: Levels
) -> TorchvisionBackbone:
    """Create the backbone of a torchvision model, e.g. "resnet50" or "deeplabv3_resnet50".

    Args:
        name: Name of a classification or a segmentation model.
        weights: True for torchvision's best, False for random ones, or a state dict of the model.
        output_stride: Image pixels per pixel of the coarsest map (8, 16 or 32), achieved by
            dilation in ResNets with bottlenecks; others keep their natural stride.
        levels: Feature levels to return, see `create_backbone`.

    Raises:
        ValueError: If torchvision has no such model, it has no such levels, or the weights do
            not fit.
    """
    if name in _segmentation():
        return _segmentation_trunk(name, weights, output_stride, levels)
    if name in _classification():
        return _classification_features(name, weights, output_stride, levels)
    hint = did_you_mean(name, [*_classification(), *_segmentation()])
    raise ValueError(
        f"torchvision has no classification or segmentation model {name!r}{hint}: "
        "torchvision.models.list_models() lists its names"
    )


def imagenet_weights(name: str) -> StateDict:
    """Return the first ImageNet weights (V1) of a torchvision model.

    Args:
        name: Name of the model.

    Raises:
        ValueError: If they are neither cached nor can be downloaded.
    """
    return _download(name, models.get_model_weights(name)["IMAGENET1K_V1"])


def _classification_features(
    name: str, weights: bool | StateDict, output_stride: int, levels: Levels
) -> TorchvisionBackbone:
    model = _build(name)
    found = _find_levels(model)
    indices = choose_levels(levels, [level.reduction for level in found], output_stride)
    chosen = [found[i] for i in indices]
    if levels != "pyramid" and chosen[-1].reduction > output_stride and _dilates(model):
        model = _build(name, replace_stride_with_dilation=_DILATED_STAGES[output_stride])
        chosen = [lv._replace(reduction=min(lv.reduction, output_stride)) for lv in chosen]
    names = [level.name for level in chosen]
    features = create_feature_extractor(
        model,
        names,
        tracer_kwargs={"leaf_modules": _not_divided(model, names)},
        suppress_diff_warning=True,
    )
    side = int(getattr(model, "image_size", 224))
    return _finish(name, features, chosen, weights, native=(side, side))


def _not_divided(model: nn.Module, levels: list[str]) -> list[type[nn.Module]]:
    """Return the classes of modules that the extractor calls as a whole, so that hooks see them.

    The modules around a level have to be divided, and so have all others of their classes.
    """
    inside = [name.split(".")[:depth] for name in levels for depth in range(name.count(".") + 1)]
    divided = [model.get_submodule(".".join(names)) for names in inside]
    # The extractor would take a number at the end of a name for that of a repeated call.
    divided += [module for name, module in model.named_modules() if re.search(r"_\d+$", name)]
    kinds = {type(module) for module in model.modules()}
    return [kind for kind in kinds if not any(isinstance(module, kind) for module in divided)]


def _segmentation_trunk(
    name: str, weights: bool | StateDict, output_stride: int, levels: Levels
) -> TorchvisionBackbone:
    # The released weights include the auxiliary head's level. It is always created, so that the
    # levels have the same numbers with and without these weights.
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    trunk = models.get_model(name, weights=None, weights_backbone=None, **auxiliary).backbone
    outputs = dry_run(trunk, *_TRIAL_SIZE)
    found = [_level(key, output, _TRIAL_SIZE) for key, output in outputs.items()]
    indices = choose_levels(
        levels, [level.reduction for level in found], output_stride, names=list(outputs)
    )
    if isinstance(weights, dict):
        weights = _strip_backbone(weights)
    return _finish(name, trunk, [found[i] for i in indices], weights)


def _finish(
    name: str,
    features: nn.Module,
    levels: list[Level],
    weights: bool | StateDict,
    native: tuple[int, int] = _NATIVE_SIZE,
) -> TorchvisionBackbone:
    released = models.get_model_weights(name).DEFAULT
    if weights is True:
        weights = _strip_backbone(_download(name, released))
    if weights:
        load_weights(features, weights, f"torchvision/{name}")
    transforms = released.transforms()
    return TorchvisionBackbone(
        features,
        levels,
        native=native,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def _build(name: str, **options: Any) -> nn.Module:
    if name in ("googlenet", "inception_v3"):
        # Torchvision warns if the initialisation is not given.
        options["init_weights"] = True
    model: nn.Module = models.get_model(name, weights=None, **options)
    return model


def _dilates(model: nn.Module) -> bool:
    return isinstance(model, models.ResNet) and isinstance(model.layer1[0], Bottleneck)


def _find_levels(model: nn.Module) -> list[Level]:
    """Return the last module at each resolution, or each block of a plain transformer."""
    if isinstance(model, models.VisionTransformer):
        return [
            Level(f"encoder.layers.{name}", model.hidden_dim, model.patch_size, "tokens")
            for name, _ in model.encoder.layers.named_children()
        ]
    size = _TRIAL_SIZE if passes(model, _TRIAL_SIZE) else _NATIVE_SIZE
    last: dict[int, Level] = {}

    def record(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            level = _level(name, output, size)
            if 0 < level.reduction <= _COARSEST:
                last[level.reduction] = level

    handles = [
        module.register_forward_hook(lambda _module, _in, output, name=name: record(name, output))
        for name, module in _stages(model)
    ]
    dry_run(model, *size)
    for handle in handles:
        handle.remove()
    return [last[reduction] for reduction in sorted(last)]


def _stages(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the network's children, and the children of those that are containers."""
    stages = []
    for name, child in model.named_children():
        if name in _HEADS:
            continue
        stages.append((name, child))
        if isinstance(child, nn.Sequential | nn.ModuleList):
            stages += [(f"{name}.{inner}", part) for inner, part in child.named_children()]
    return stages


def _level(name: str, output: Tensor, size: tuple[int, int]) -> Level:
    """Infer the layout from the shape; the reduction is 0 if the output is no feature map."""
    height, width = size
    layouts: dict[Layout, tuple[int, int, int]] = {"maps": (2, 3, 1), "channels last": (1, 2, 3)}
    for layout, (rows, cols, channels) in layouts.items():
        down, across = height / output.shape[rows], width / output.shape[cols]
        if abs(down / across - 1) < 0.15:
            nominal = 2 ** round(math.log2(math.sqrt(down * across)))
            return Level(name, output.shape[channels], nominal, layout)
    return Level(name, 0, 0, "maps")


def _as_map(output: Tensor, level: Level, images: Tensor) -> Tensor:
    if level.layout == "channels last":
        return output.permute(0, 3, 1, 2)
    if level.layout == "tokens":
        height, width = (side // level.reduction for side in images.shape[-2:])
        without_class = output[:, 1:]
        return without_class.transpose(1, 2).reshape(-1, level.channels, height, width)
    return output


def _strip_backbone(weights: StateDict) -> StateDict:
    """Rename the keys of a segmentation model's trunk; those of a classification model stay."""
    prefix = "backbone."
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def _download(name: str, released: Any) -> StateDict:
    try:
        weights: StateDict = released.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise ValueError(
            f"the pretrained weights of 'torchvision/{name}' cannot be loaded ({error}): give "
            "pretrained=False for random ones, or the path of a local file"
        ) from error
    return weights
