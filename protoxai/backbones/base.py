"""The interface of backbones: images in, a few feature maps out."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Colour = tuple[float, float, float]


class Backbone(nn.Module):
    """Base class of networks that turn images into feature maps.

    Its attributes describe the images it requires and the maps it returns. A backbone of your own
    needs no subclass: `create_backbone` takes any `nn.Module`.

    Args:
        channels: Channels of each map, finest map first.
        reductions: Nominal image pixels per map pixel of each map; empty if unknown.
        mean: Mean with which images are normalised, RGB in [0, 1].
        std: Standard deviation with which images are normalised, RGB in [0, 1].
        divisor: Image height and width must be multiples of this; 1 takes any size.
        image_size: Height and width of the images, if it takes only one size.

    Example:
        >>> import torch
        >>> from protoxai.backbones import create_backbone
        >>> backbone = create_backbone("timm/test_resnet", pretrained=False, levels=[1, 2])
        >>> [tuple(features.shape) for features in backbone(torch.zeros(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 48, 8, 12)]
        >>> backbone.channels, backbone.reductions
        ((32, 48), (4, 8))
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...],
        reductions: tuple[int, ...],
        mean: Colour = IMAGENET_MEAN,
        std: Colour = IMAGENET_STD,
        divisor: int = 1,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.reductions = reductions
        self.mean = mean
        self.std = std
        self.divisor = divisor
        self.image_size = image_size

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of a batch of images.

        Args:
            images: Images (B, 3, H, W), floating point, normalised with `mean` and `std`.

        Returns:
            Maps (B, C_l, h_l, w_l) of the levels, finest first.

        Raises:
            TypeError: If the images are not a floating-point tensor.
            ValueError: If the shape is not (B, 3, H, W), or the backbone does not take this size.
        """
        self._check(images)
        if torch.compiler.is_compiling():
            return self.extract(images)
        try:
            return self.extract(images)
        except RuntimeError as error:
            # A module may convert images itself, so types are only compared once it has failed.
            weight = next(self.parameters(), images)
            for given, own in ((images.dtype, weight.dtype), (images.device, weight.device)):
                if given != own:
                    fix = own if isinstance(own, torch.dtype) else repr(str(own))
                    raise TypeError(
                        f"images have {given}, but the weights {own}: convert one of them, as in "
                        f"images.to({fix})"
                    ) from error
            raise

    @abstractmethod
    def extract(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images whose type and size have been checked.

        Args:
            images: Images (B, 3, H, W), floating point.
        """

    def _check(self, images: Tensor) -> None:
        if not isinstance(images, Tensor):
            raise TypeError(
                f"images are a {type(images).__name__}, expected a torch.Tensor (B, 3, H, W): "
                "stack them with torch.stack"
            )
        if images.layout != torch.strided:
            raise TypeError(f"images are a {images.layout} tensor, expected a dense one")
        if not images.is_floating_point():
            raise TypeError(
                f"images have dtype {images.dtype}, expected floating point: divide by 255 and "
                f"normalise with mean {self.mean} and std {self.std}"
            )
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"images have shape {tuple(images.shape)}, expected (B, 3, H, W): "
                "add the batch axis with images[None], repeat the channel of grey images"
            )
        height, width = images.shape[-2:]
        if not height or not width:
            raise ValueError(f"images are {height}x{width}, expected at least one pixel")
        if self.image_size is not None and (height, width) != self.image_size:
            raise ValueError(
                f"images are {height}x{width}, this backbone takes only "
                f"{self.image_size[0]}x{self.image_size[1]}: resize your images to that size or "
                "choose a backbone that takes any size (backbone.image_size is None)"
            )
        if height % self.divisor or width % self.divisor:
            up = [-(-side // self.divisor) * self.divisor for side in (height, width)]
            raise ValueError(
                f"images are {height}x{width}, this backbone takes multiples of {self.divisor}: "
                f"pad your images to {up[0]}x{up[1]}"
            )
