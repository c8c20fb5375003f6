"""Models and tasks whose attributions can be worked out by hand."""

import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod, CaptumAttribution
from tests.toys import small_model

Batch = tuple[Tensor, Tensor, Tensor]
WEIGHT = [[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]]
FEW = {
    "IntegratedGradients": {"n_steps": 4},
    "LayerConductance": {"n_steps": 4},
    "LayerIntegratedGradients": {"n_steps": 4},
    "GradientShap": {"n_samples": 3},
    "KernelShap": {"segments": 4},
    "FeatureAblation": {"segments": 4},
}


class Colours(nn.Module):
    """Each class's logit is a weighted sum of the pixel's colours."""

    def __init__(self, weight: list[list[float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("kc,bchw->bkhw", self.weight, images)


class Squares(nn.Module):
    """A trunk of two maps, of all pixels' first two colours, doubled; the logit sums squares."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 2, 1, bias=False)
        self.backbone.weight.data = torch.tensor([[2.0, 0, 0], [0, 2, 0]])[:, :, None, None]
        self.scale = torch.tensor([1.0, -3.0])[:, None, None]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        logit = (self.scale * features**2).sum(1, keepdim=True)
        return {"out": torch.cat([logit, -logit], 1)}


class Sizes(nn.Module):
    """Sees the image and its half with one trunk that returns a list, and sums what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Listed()

    def forward(self, images: Tensor) -> Tensor:
        full, half = (self.backbone(each)[-1] for each in (images, images[:, :, ::2, ::2]))
        wide = half.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return full + 10 * wide


class Listed(nn.Module):
    def forward(self, images: Tensor) -> list[Tensor]:
        return [images[:, :1] * torch.nan, images * torch.tensor([1.0, 2.0, 3.0])[:, None, None]]


def some_tasks(size: tuple[int, int] = (8, 8), classes: tuple[int, ...] = (0, 1)) -> Batch:
    """Images with a region of its own each, and the class to explain."""
    images = torch.randn(len(classes), 3, *size)
    region = torch.rand(len(classes), *size) < torch.linspace(0.2, 0.8, len(classes))[:, None, None]
    region[:, 0, 0] = True
    return images, region, torch.tensor(classes)


def assert_one_by_one(method: AttributionMethod, batch: Batch, **tolerance: float) -> None:
    """The batch's explanation is that of its images."""
    together = method(*batch)
    for i in range(len(batch[0])):
        alone = method(*(part[i : i + 1] for part in batch))
        torch.testing.assert_close(together.map[i : i + 1], alone.map, **tolerance)
        assert (together.units is None) == (alone.units is None)
        if together.units is not None:
            torch.testing.assert_close(together.units[i : i + 1], alone.units, **tolerance)


def few(name: str, model: nn.Module, **options) -> CaptumAttribution:
    """The method with as few passes as it can do with."""
    return CaptumAttribution(name, model, **{**FEW.get(name, {}), **options})


def linear_trunk_model() -> nn.Module:
    model = small_model().group()
    model.head.weight.data.normal_()
    return model.eval()
