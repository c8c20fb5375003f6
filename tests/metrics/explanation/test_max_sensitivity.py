import pytest
import torch
from torch import Tensor

from protoxai.metrics import MaxSensitivity, max_sensitivity


def itself(images: Tensor) -> Tensor:
    return images.sum(1)


def test_agrees_with_the_formula() -> None:
    images = torch.rand(1, 3, 4, 4)
    generator = torch.Generator().manual_seed(5)
    changes = 0.02 * (torch.rand(10, 3, 4, 4, generator=generator) * 2 - 1)
    moved = (itself(images + changes) - itself(images)).flatten(1).norm(dim=1)
    expected = moved.max() / itself(images).norm()
    torch.testing.assert_close(max_sensitivity(itself, images, seeds=[5])[0], expected)


def test_a_constant_explainer_is_insensitive_and_a_jumpy_one_is_not() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert max_sensitivity(lambda x: torch.ones(len(x), 4, 4), images).tolist() == [0, 0]
    # Noise is an explainer whose explanations do not resemble each other.
    assert (max_sensitivity(lambda x: torch.randn(len(x), 4, 4), images) > 1).all()
    assert (max_sensitivity(itself, images, radius=0.2) > max_sensitivity(itself, images)).all()


def test_a_positive_factor_does_not_matter() -> None:
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(
        max_sensitivity(lambda x: 7 * itself(x), images), max_sensitivity(itself, images)
    )


def test_gradients_are_there_for_explainers_that_need_them() -> None:
    def gradient(images: Tensor) -> Tensor:
        images = images.detach().requires_grad_()
        return torch.autograd.grad(images.pow(3).sum(), images)[0].sum(1)

    with torch.no_grad():
        assert (max_sensitivity(gradient, torch.rand(1, 3, 4, 4)) > 0).all()


def test_batches_and_arguments() -> None:
    images, place = torch.rand(2, 3, 4, 4), torch.tensor([0, 3])
    sizes = []

    def row(batch: Tensor, which: Tensor) -> Tensor:
        sizes.append(len(batch))
        assert len(which) == len(batch)
        maps = torch.zeros(len(batch), 4, 4)
        maps[torch.arange(len(batch)), which] = batch[torch.arange(len(batch)), 0, which]
        return maps

    values = max_sensitivity(row, images, (place,), batch_size=4)
    assert max(sizes) == 4
    torch.testing.assert_close(values, max_sensitivity(row, images, (place,)))
    assert (values > 0).all()


def test_an_image_has_its_changes_whatever_its_batch() -> None:
    images = torch.rand(3, 3, 4, 4)
    together, apart = MaxSensitivity(), MaxSensitivity()
    together.update(itself, images, index=[0, 1, 2])
    for i in (2, 0, 1):
        apart.update(itself, images[i : i + 1], index=i)
    assert together.compute().mean == pytest.approx(apart.compute().mean)
    assert together.higher_is_better is None


def test_no_explanation_is_undefined() -> None:
    images = torch.rand(2, 3, 4, 4)
    images[0] = 0
    metric = MaxSensitivity(radius=0.0)
    metric.update(itself, images)
    assert (metric.compute().tasks, metric.compute().undefined) == (1, 1)


def test_a_known_map_is_not_computed_and_changes_nothing() -> None:
    images, calls = torch.rand(2, 3, 4, 4), []

    def explain(batch: Tensor) -> Tensor:
        calls.append(len(batch))
        return batch.square().sum(1)

    fresh = max_sensitivity(explain, images)
    assert calls == [1, 10, 1, 10]
    calls.clear()
    maps = images.square().sum(1)
    assert torch.equal(max_sensitivity(explain, images, original=maps), fresh)
    assert calls == [10, 10]
    # The changes are measured against it.
    assert (max_sensitivity(explain, images, original=2 * maps) > 5 * fresh).all()
    metric = MaxSensitivity()
    metric.update(explain, images, original=maps * torch.tensor([1.0, 0.0])[:, None, None])
    assert (metric.compute().tasks, metric.compute().undefined) == (1, 1)
    with pytest.raises(ValueError, match=r"original: got shape \(1, 4, 4\), expected \(batch=2"):
        max_sensitivity(explain, images, original=maps[:1])
