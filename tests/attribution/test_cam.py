"""Class activation maps: by hand, by loops, and the identities between them."""

import math

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import CAMS, CamAttribution, CaptumAttribution, SegmentationTarget
from protoxai.runtime.resize import resize
from tests.attribution.toys import (
    Sizes,
    Squares,
    assert_one_by_one,
    linear_trunk_model,
    some_tasks,
)
from tests.toys import modes

EVERY = pytest.mark.parametrize("name", CAMS)
WITH_GRADIENTS = pytest.mark.parametrize("name", [name for name in CAMS if name != "EigenCAM"])
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


class OneRow(nn.Module):
    """Two features of two cells, the image's red and green; class 0 is a weighted sum of them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 2, 1, bias=False)
        self.backbone.weight.data = torch.eye(3)[:2, :, None, None]
        self.weight = torch.tensor([[2.0, 4.0], [6.0, -2.0]])

    def forward(self, images: Tensor) -> Tensor:
        total = (self.weight[:, None] * self.backbone(images)).sum((1, 2, 3))
        return torch.stack([total, -total], 1)[:, :, None, None].expand(-1, -1, 1, 2)


class Pooled(nn.Module):
    """Global average pooling and a linear classifier, whose answer every pixel has."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.ReLU())
        self.classifier = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(self.backbone(images).mean((2, 3)))
        return logits[:, :, None, None].expand(-1, -1, 2, 3)


def task_of(*colours: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """The one image of OneRow, red and green of its two pixels, and class 0 of all of it."""
    image = torch.tensor([*colours, [0.0, 0.0]])[None, :, None]
    return image, torch.ones(1, 1, 2, dtype=torch.bool), torch.tensor([0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The gradients are the weights: 2 and 4 of red, which is 1 and 3, 6 and -2 of green.
        ("HiResCAM", [2.0 * 1 + 6 * 5, 4.0 * 3 - 2 * 7]),
        # Their means are 3 and 2.
        ("Seg-XRes-CAM", [3.0 * 1 + 2 * 5, 3.0 * 3 + 2 * 7]),
        # Sums 4 and 12: weights 2 / (2 + 2 * 4) + 4 / (2 + 4 * 4), and 6 / (2 + 6 * 12).
        (
            "GradCAM++",
            [
                (1 / 5 + 2 / 9) * 1 + 3 / 37 * 5,
                (1 / 5 + 2 / 9) * 3 + 3 / 37 * 7,
            ],
        ),
    ],
)
def test_by_hand(name: str, expected: list[float]) -> None:
    result = CamAttribution(name, OneRow())(*task_of([1.0, 3.0], [5.0, 7.0]))
    torch.testing.assert_close(result.map, torch.tensor([[expected]]))
    assert result.units is None
    assert (result.cost.forward_passes, result.cost.backward_passes) == (1, 1)


def test_eigen_cam_by_hand() -> None:
    # Both cells lie on the line of direction (3, 4), at 5 and -10: turned, so that the sum is 5.
    result = CamAttribution("EigenCAM", OneRow())(*task_of([3.0, -6.0], [4.0, -8.0]))
    torch.testing.assert_close(result.map, torch.tensor([[[-5.0, 10.0]]]))
    assert (result.cost.forward_passes, result.cost.backward_passes) == (1, 0)


def test_eigen_cam_needs_no_gradient() -> None:
    class Watched(OneRow):
        def forward(self, images: Tensor) -> Tensor:
            self.differentiated = torch.is_grad_enabled()
            return super().forward(images)

    for name in CAMS:
        model = Watched()
        CamAttribution(name, model)(*task_of([1.0, 3.0], [5.0, 7.0]))
        assert model.differentiated == (name != "EigenCAM")


def test_eigen_cam_is_the_best_single_projection() -> None:
    model, (images, region, classes) = linear_trunk_model(), some_tasks((16, 20))
    found = CamAttribution("EigenCAM", model)(images, region, classes).map
    for row, features in enumerate(model.backbone(images)[-1].detach().double().flatten(2)):
        # By power iteration, which converges to the same vector.
        vector = torch.ones(len(features), dtype=torch.float64)
        for _ in range(2000):
            vector = features @ (features.mT @ vector)
            vector /= vector.norm()
        projection = (vector @ features).view(1, 1, 4, 5)
        expected = resize(projection * projection.sum().sign(), (16, 20))[0, 0] / 16
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-3, atol=1e-4)


def looped(name: str, features: Tensor, gradients: Tensor, window: int) -> list[list[float]]:
    """The map of one image at the cells, by loops over channels and cells as in the papers."""
    channels, height, width = features.shape
    cells = [(row, col) for row in range(height) for col in range(width)]
    total = [[0.0] * width for _ in range(height)]
    for k in range(channels):
        a, g = features[k].tolist(), gradients[k].tolist()
        if name == "GradCAM++":
            score = math.exp(0.3)  # Any score: all weights have it.
            mass = sum(a[r][c] for r, c in cells)
            weight = 0.0
            for r, c in cells:
                first, second, third = (score * g[r][c] ** n for n in (1, 2, 3))
                lower = 2 * second + mass * third
                weight += (second / lower if lower else 0.0) * max(first, 0.0) / score
        for r, c in cells:
            if name == "HiResCAM":
                weight = g[r][c]
            elif name == "Seg-XRes-CAM":
                window_of = [
                    g[i][j]
                    for i, j in cells
                    if i // window == r // window and j // window == c // window
                ]
                weight = sum(window_of) / len(window_of)
            total[r][c] += weight * a[r][c]
    return total


@WITH_GRADIENTS
@pytest.mark.parametrize("window", [2, 3])
def test_each_agrees_with_a_loop(name: str, window: int) -> None:
    model, (images, region, classes) = linear_trunk_model(), some_tasks((16, 20), (0, 2))
    found = CamAttribution(name, model, window=window)(images, region, classes).map
    kept: list[Tensor] = []
    hook = model.backbone.register_forward_hook(lambda *a: kept.append(a[2][-1]))
    score = SegmentationTarget(model)(images.requires_grad_(), region, classes).sum()
    hook.remove()
    (slopes,) = torch.autograd.grad(score, kept)
    for row, (features, gradients) in enumerate(zip(kept[0].detach(), slopes, strict=True)):
        cells = torch.tensor(looped(name, features, gradients, window))
        expected = resize(cells[None, None], (16, 20))[0, 0] / 16
        torch.testing.assert_close(found[row], expected, **CLOSE)


def test_the_window_of_seg_x_res_cam_leads_from_hi_res_cam_to_grad_cam() -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20), (0, 2, 1))
    windows = {n: CamAttribution("Seg-XRes-CAM", model, window=n)(*batch).map for n in (1, 2, 5)}
    hi_res = CamAttribution("HiResCAM", model)(*batch).map
    grad_cam = CaptumAttribution("LayerGradCam", model)(*batch).map
    torch.testing.assert_close(windows[1], hi_res, **CLOSE)
    torch.testing.assert_close(windows[5], grad_cam, **CLOSE)
    assert not torch.allclose(windows[2], hi_res, rtol=0.1)
    assert not torch.allclose(windows[2], grad_cam, rtol=0.1)


def test_hi_res_cam_is_grad_cam_after_global_average_pooling() -> None:
    model, batch = Pooled(), some_tasks((16, 20), (0, 2))
    found = [
        CamAttribution("HiResCAM", model),
        CaptumAttribution("LayerGradCam", model),
        CamAttribution("Seg-XRes-CAM", model, window=2),
    ]
    maps = [method(*batch).map for method in found]
    assert maps[0].abs().amax((1, 2)).min() > 1e-4
    for other in maps[1:]:
        torch.testing.assert_close(maps[0], other, **CLOSE)


def test_hi_res_cam_is_gradient_times_activation() -> None:
    for model in (linear_trunk_model(), Squares(), Sizes()):
        batch = some_tasks((16, 20))
        found = CamAttribution("HiResCAM", model)(*batch).map
        other = CaptumAttribution("LayerGradientXActivation", model)(*batch).map
        torch.testing.assert_close(found, other, **CLOSE)


def test_every_call_of_the_layer_counts() -> None:
    batch = some_tasks((8, 12))
    found = CamAttribution("Seg-XRes-CAM", Sizes(), window=12)(*batch).map
    grad_cam = CaptumAttribution("LayerGradCam", Sizes())(*batch).map
    torch.testing.assert_close(found, grad_cam, **CLOSE)


@EVERY
def test_unequal_images_are_explained_one_by_one(name: str) -> None:
    method = CamAttribution(name, linear_trunk_model(), window=2)
    assert_one_by_one(method, some_tasks((16, 20), (0, 2, 1)), rtol=1e-3, atol=1e-5)


@EVERY
def test_an_empty_region_is_undefined_and_leaves_the_others_alone(name: str) -> None:
    method = CamAttribution(name, linear_trunk_model())
    images, region, classes = some_tasks((16, 20), (0, 2))
    region[0] = False
    result = method(images, region, classes)
    assert result.map[0].isnan().all()
    alone = method(images[1:], region[1:], classes[1:])
    torch.testing.assert_close(result.map[1:], alone.map, rtol=1e-3, atol=1e-5)


@EVERY
def test_explaining_leaves_no_trace(name: str) -> None:
    model, batch = linear_trunk_model().train(), some_tasks((16, 20))
    before = modes(model)
    with torch.no_grad():
        result = CamAttribution(name, model)(*batch)
    assert modes(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not batch[0].requires_grad
    assert not result.map.requires_grad
    assert result.map.isfinite().all()


def test_only_eigen_cam_does_not_depend_on_the_class() -> None:
    model, (images, region, _) = linear_trunk_model(), some_tasks((16, 20), (0, 0))
    for name in CAMS:
        first, other = (
            CamAttribution(name, model)(images, region, torch.tensor(own)).map
            for own in ([0, 0], [2, 2])
        )
        assert torch.equal(first, other) == (name == "EigenCAM")


@EVERY
def test_wrong_arguments_are_refused(name: str) -> None:
    model = linear_trunk_model()
    with pytest.raises(ValueError, match="holds 3, expected 0 to 2"):
        CamAttribution(name, model)(*some_tasks((16, 20), (0, 3)))
    with pytest.raises(ValueError, match=r"no layer 'scale'.*did you mean 'scales'"):
        CamAttribution(name, model, layer="scale")
    with pytest.raises(ValueError, match="window is 0, expected"):
        CamAttribution(name, model, window=0)
    with pytest.raises(ValueError, match="name is 'GradCAM', expected one of 'GradCAM\\+\\+'"):
        CamAttribution("GradCAM", model)


def test_representation_is_the_call() -> None:
    assert repr(CamAttribution("EigenCAM", OneRow(), layer="backbone")) == (
        "CamAttribution(name='EigenCAM', model=OneRow(...), layer='backbone', window=4)"
    )


@EVERY
def test_device(name: str, device: torch.device) -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20))
    expected = CamAttribution(name, model)(*batch)
    result = CamAttribution(name, model.to(device))(*(part.to(device) for part in batch))
    torch.testing.assert_close(result.map.cpu(), expected.map, rtol=1e-2, atol=1e-3)
