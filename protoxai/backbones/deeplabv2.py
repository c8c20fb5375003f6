"""The DeepLabv2 trunk: a Caffe-style dilated ResNet at output stride 8."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoxai.backbones.base import Backbone
from protoxai.backbones.families import register_backbone
from protoxai.backbones.levels import Levels, choose_levels
from protoxai.backbones.weights import StateDict, load_weights

EXPANSION = 4
REDUCTIONS = (4, 8, 8, 8)
BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that always uses its running statistics and has no parameters.

    Scale and shift are buffers, so that `requires_grad_(True)` on the trunk does not affect them.

    Args:
        num_features: Number of channels.

    Example:
        >>> norm = FrozenBatchNorm(8).train()
        >>> norm.training, list(norm.parameters())
        (False, [])
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, eps=1e-5, momentum=0.001)
        del self.weight, self.bias
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.eval()

    def train(self, mode: bool = True) -> "FrozenBatchNorm":  # noqa: ARG002
        """Stay in evaluation mode."""
        return super().train(False)


class Bottleneck(nn.Module):
    """A bottleneck of a ResNet, with the stride in its first 1x1 convolution.

    Args:
        in_channels: Channels of the input.
        width: Channels of the 3x3 convolution; the output has four times as many.
        stride: Stride of the first convolution.
        dilation: Dilation of the 3x3 convolution.
        project: Whether the shortcut is a convolution rather than the identity.
    """

    def __init__(
        self, in_channels: int, width: int, *, stride: int, dilation: int, project: bool
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = FrozenBatchNorm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = FrozenBatchNorm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                FrozenBatchNorm(out_channels),
            )
            if project
            else nn.Identity()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the rectified sum of the shortcut and the residual."""
        residual = self.relu(self.bn1(self.conv1(features)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        output: Tensor = self.relu(residual + self.downsample(features))
        return output


class DeepLabV2ResNet(Backbone):
    """The trunk of DeepLabv2 as released (Chen et al., arXiv 1606.00915).

    The keys of its state dict are those of torchvision's ResNets. Batch norm is frozen.

    Args:
        blocks: Number of bottlenecks in each of the four stages.
        base_width: Channels of the first convolution and of the first stage's 3x3 convolutions.
        levels: Stages to return, of the four, see `create_backbone`; None is the last.

    Example:
        >>> trunk = DeepLabV2ResNet(blocks=(1, 1, 1, 1), base_width=8)
        >>> [tuple(features.shape) for features in trunk(torch.zeros(1, 3, 65, 97))]
        [(1, 256, 9, 13)]
    """

    def __init__(
        self,
        blocks: Sequence[int] = BLOCKS["resnet101"],
        base_width: int = 64,
        *,
        levels: Levels = None,
    ) -> None:
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(f"blocks is {tuple(blocks)}, expected four counts of at least 1")
        if levels == "pyramid":
            raise ValueError(
                "levels='pyramid' needs a trunk without dilation, and this one always has some: "
                "use 'torchvision/resnet101', or list its stages, e.g. levels=[1, 3]"
            )
        indices = choose_levels(levels, REDUCTIONS, output_stride=8)
        widths = [base_width * 2**stage for stage in range(4)]
        super().__init__(
            channels=tuple(EXPANSION * widths[i] for i in indices),
            reductions=tuple(REDUCTIONS[i] for i in indices),
        )
        self.levels = indices
        self.conv1 = nn.Conv2d(3, base_width, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        inputs = [base_width, *(EXPANSION * width for width in widths)]
        for stage in range(indices[-1] + 1):
            layer = _stage(
                inputs[stage],
                widths[stage],
                blocks[stage],
                stride=2 if stage == 1 else 1,
                dilation=(1, 1, 2, 4)[stage],
            )
            self.add_module(f"layer{stage + 1}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the chosen stages."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for stage in range(self.levels[-1] + 1):
            features = self.get_submodule(f"layer{stage + 1}")(features)
            if stage in self.levels:
                maps.append(features)
        return maps


@register_backbone("deeplabv2", names=lambda: BLOCKS)
def create_deeplabv2_backbone(
    name: str, *, weights: bool | StateDict, output_stride: int, levels: Levels
) -> DeepLabV2ResNet:
    """Create the trunk "resnet50" or "resnet101".

    Args:
        name: Name of the ResNet.
        weights: True for torchvision's ImageNet weights, False for random ones, or a state dict.
        output_stride: Output stride of the trunk, always 8.
        levels: Stages to return, of the four, see `create_backbone`.

    Raises:
        ValueError: If there is no such trunk, level or output stride, or the weights do not fit.
    """
    if name not in BLOCKS:
        raise ValueError(
            f"'deeplabv2/{name}' is unknown, expected one of "
            f"{', '.join(repr(f'deeplabv2/{known}') for known in BLOCKS)}"
        )
    if output_stride != 8:
        raise ValueError(
            f"output_stride is {output_stride}, expected 8 for the DeepLabv2 trunk: use "
            f"'torchvision/{name}' for others"
        )
    backbone = DeepLabV2ResNet(BLOCKS[name], levels=levels)
    if weights is True:
        from protoxai.backbones.torchvision_models import imagenet_weights

        weights = imagenet_weights(name)
    if weights:
        load_weights(backbone, weights, f"deeplabv2/{name}")
    return backbone


def _stage(
    in_channels: int, width: int, blocks: int, *, stride: int, dilation: int
) -> nn.Sequential:
    first = Bottleneck(in_channels, width, stride=stride, dilation=dilation, project=True)
    rest = (
        Bottleneck(EXPANSION * width, width, stride=1, dilation=dilation, project=False)
        for _ in range(blocks - 1)
    )
    return nn.Sequential(first, *rest)
