"""How many passes Captum's methods make, and how much memory they take."""

import numpy as np
import pytest
import torch
from torch import nn

from protoxai.attribution import CaptumAttribution, SegmentationTarget
from protoxai.attribution.captum_methods import PERTURBATIONS, RANDOM
from tests.attribution.toys import WEIGHT, Colours, few, linear_trunk_model, some_tasks


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("Saliency", 2, 2),
        ("IntegratedGradients", 8, 8),
        ("GradientShap", 6, 6),
        ("KernelShap", 32, 0),
        ("LayerGradCam", 2, 2),
        ("LayerConductance", 16, 16),
        ("LayerIntegratedGradients", 12, 8),
    ],
)
def test_passes_are_counted(name: str, forward: int, backward: int) -> None:
    cost = few(name, linear_trunk_model())(*some_tasks((16, 20), (0, 2))).cost
    assert (cost.forward_passes, cost.backward_passes) == (forward, backward)


@pytest.mark.parametrize(
    ("given", "largest"),
    [({}, 2), ({"internal_batch_size": 6}, 6), ({"internal_batch_size": 1}, 2)],
)
def test_steps_are_taken_a_batch_at_a_time(given: dict, largest: int) -> None:
    model = Colours(WEIGHT)
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    result = CaptumAttribution("IntegratedGradients", model, n_steps=6, **given)(*some_tasks())
    assert max(sizes) == largest
    assert result.cost.forward_passes == sum(sizes) == 12


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbed_images_go_through_eight_at_a_time(name: str) -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20), (0, 2, 1))
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    result = few(name, model)(*batch)
    images = 1 if name in RANDOM else 3
    assert max(sizes) == 8 // images * images
    slowly = few(name, model, perturbations_per_eval=1)(*batch)
    assert slowly.cost.forward_passes == result.cost.forward_passes
    torch.testing.assert_close(result.map, slowly.map, rtol=1e-3, atol=1e-5)
    sizes.clear()
    few(name, model)(*(part.repeat_interleave(5, 0) for part in batch))
    assert max(sizes) == (8 if name in RANDOM else 15)


@pytest.mark.slow
def test_memory_of_integrated_gradients_is_that_of_two_passes() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    )
    batch = some_tasks((512, 512), (0,))
    target = SegmentationTarget(model)

    def once() -> None:
        images = batch[0].clone().requires_grad_()
        torch.autograd.grad(target(images, *batch[1:]).sum(), images)

    method = CaptumAttribution("IntegratedGradients", model, n_steps=50)
    assert peak_bytes(lambda: method(*batch)) <= 2 * peak_bytes(once)
    greedy = CaptumAttribution("IntegratedGradients", model, n_steps=50, internal_batch_size=10)
    assert peak_bytes(lambda: greedy(*batch)) > 2 * peak_bytes(once)


def peak_bytes(work) -> int:
    """The most bytes that PyTorch's allocator had given out at once."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        work()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    given = np.cumsum([change for _, change in sorted(changes, key=lambda change: change[0])])
    return int(given.max())
