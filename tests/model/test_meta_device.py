"""Models on the meta device, which has shapes and no values, as counters of operations use them."""

import pytest
import torch

from protoxai import LinearSegmenter
from protoxai.model.segmenter import Segmenter
from tests.training.cases import toy_model


@pytest.mark.parametrize("grouped", [False, True])
def test_forward_and_backward_have_the_shapes_of_the_cpu(grouped: bool) -> None:
    real, model = (toy_model(grouped=grouped) for _ in range(2))
    model.to("meta")
    images = torch.rand(2, 3, 32, 40)
    expected, output = real(images), model(images.to("meta"))
    for name in ("logits", "embedding", "distances", "activations"):
        assert getattr(output, name).shape == getattr(expected, name).shape
    output.logits.sum().backward()
    expected.logits.sum().backward()
    gradients = [
        {name: p.grad.shape for name, p in each.named_parameters() if p.grad is not None}
        for each in (model, real)
    ]
    assert gradients[0] == gradients[1]


def test_logits_without_a_gradient() -> None:
    models: list[Segmenter] = [toy_model(), LinearSegmenter(torch.nn.Conv2d(3, 4, 8, 8), 2)]
    for model in models:
        logits = model.to("meta").logits(torch.empty(1, 3, 64, 64, device="meta"))
        assert logits.is_meta
        assert logits.shape == (1, 2, 8, 8)
