import pytest
import torch
from torch import Tensor

from protoxai.metrics.prototype.adversary import lowered

BOUND, LOW, HIGH = torch.tensor([0.1, 0.2]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0])


def attacked(images: Tensor, changeable: Tensor, weights: Tensor, steps: int = 5) -> Tensor:
    """Images whose weighted sum of colours is lowered."""
    return lowered(
        lambda x: (x * weights).sum((1, 2, 3)),
        images,
        changeable,
        bound=BOUND,
        low=LOW,
        high=HIGH,
        steps=steps,
    )


def test_a_linear_score_is_lowered_to_the_bound_where_pixels_may_change() -> None:
    images = torch.full((2, 2, 1, 3), 0.5)
    weights = torch.tensor([[[1.0, -1, 0]], [[-2.0, 3, 1]]])
    changeable = torch.tensor([[[True, True, True]], [[False, True, False]]])
    changed = attacked(images, changeable, weights) - images
    everything = [[[-0.1, 0.1, 0]], [[0.2, -0.2, -0.2]]]
    middle = [[[0, 0.1, 0]], [[0, -0.2, 0]]]
    torch.testing.assert_close(changed, torch.tensor([everything, middle]))


def test_images_stay_in_the_range_of_colours_or_as_they_are() -> None:
    images = torch.tensor([[[[0.05, 0.98, -3.0]], [[1.9, 0.1, 5.0]]]])
    weights = torch.tensor([[[1.0, -1, 1]], [[-1.0, 1, -1]]])
    found = attacked(images, torch.ones(1, 1, 3, dtype=torch.bool), weights)
    torch.testing.assert_close(found, torch.tensor([[[[0.0, 1, -3]], [[2.0, 0, 5]]]]))


def test_steps_turn_back_where_the_gradient_does() -> None:
    # The least score of one pixel is half a bound away, which steps of 1/16 bound reach.
    image, one = torch.tensor([[[[0.5]], [[0.5]]]]), torch.ones(1, 1, 1, dtype=torch.bool)
    found = lowered(
        lambda x: (x[:, 0] - 0.55).square().sum((1, 2)),
        image,
        one,
        bound=BOUND,
        low=LOW,
        high=HIGH,
        steps=40,
    )
    assert float(found[0, 0]) == pytest.approx(0.55, abs=0.1 * 2.5 / 40)
    assert float(found[0, 1]) == 0.5


def test_it_works_where_gradients_are_disabled() -> None:
    weights, one = torch.ones(2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            image = torch.full((1, 2, 1, 1), 0.5)
            found = attacked(image, one, weights)
        assert not found.requires_grad
        torch.testing.assert_close(found.flatten(), torch.tensor([0.4, 0.3]))
