import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from protoxai import PrototypeTable, ScaleProtoSeg, project_prototypes
from protoxai.projection.kmeans import initialise_prototypes

CLUSTERS = torch.tensor([[0.1, 0.2], [0.8, 0.3], [0.4, 0.9]])
# Prototypes of class 0 at both scales, one of class 1, one of a class that never occurs.
TABLE = PrototypeTable([0, 1, 0, 0, 2, 0], [0, 0, 1, 0, 1, 0], num_classes=3, num_scales=2)


class TwoScales(nn.Module):
    """Two channels of the image as the first scale, their complement as the second."""

    num_scales = 2
    dim = 2

    def forward(self, features: list[Tensor]) -> Tensor:
        first = features[-1][:, :2]
        return torch.stack([first.logit(eps=1e-6), (1 - first).logit(eps=1e-6)], 1)


def model_on_pixels() -> ScaleProtoSeg:
    """A model whose embedding of a pixel is its first two channels."""
    model = ScaleProtoSeg(
        nn.Identity(), 3, scales=TwoScales(), table=TABLE, prototype_dim=2, feature_channels=3
    )
    return model.train()


def clustered(images: int = 2) -> list[dict[str, Tensor]]:
    """Class 0 has three tight clusters, class 1 the first; a row is void, elsewhere."""
    labels = torch.zeros(images, 8, 12, dtype=torch.int64)
    labels[:, 6] = 1
    labels[:, 7] = 255
    which = torch.arange(12) % 3
    image = torch.zeros(images, 3, 8, 12)
    image[:, :2] = CLUSTERS[which].T[:, None]
    image[:, :2, 6] = CLUSTERS[0][:, None]
    image[:, :2, 7] = 0.5
    image[:, :2] += torch.randn(images, 2, 8, 12) * 1e-3
    return [{"image": image, "labels": labels}]


def loader(batches: list[dict[str, Tensor]]) -> DataLoader:
    return DataLoader(batches, batch_size=None)


def sorted_rows(rows: Tensor) -> Tensor:
    return rows[rows[:, 0].argsort()]


def test_every_cluster_gets_a_prototype() -> None:
    model = model_on_pixels()
    absent = model.prototype_layer.prototypes[4].detach().clone()
    initialise_prototypes(model, loader(clustered()), noise=0)
    result = model.prototype_layer.prototypes.detach()
    torch.testing.assert_close(
        sorted_rows(result[[0, 3, 5]]), sorted_rows(CLUSTERS), rtol=0, atol=3e-3
    )
    torch.testing.assert_close(result[1], CLUSTERS[0], rtol=0, atol=3e-3)
    # One prototype for all of the class is its mean; the second scale is the complement.
    torch.testing.assert_close(result[2], 1 - CLUSTERS.mean(0), rtol=0, atol=3e-3)
    assert torch.equal(result[4], absent)


def test_what_a_projection_has_kept_of_other_prototypes_is_dropped() -> None:
    model, data = model_on_pixels(), clustered()
    with pytest.warns(UserWarning, match="no pixel has class 2"):
        project_prototypes(model, data)
    initialise_prototypes(model, loader(data))
    assert (model.provenance, model.patches, model.class_distances) == (None, None, None)


def test_noise_keeps_apart_what_coincides() -> None:
    batch = {"image": torch.full((1, 3, 4, 4), 0.3), "labels": torch.zeros(1, 4, 4).long()}
    model = model_on_pixels()
    initialise_prototypes(model, loader([batch]), noise=0.01)
    own = model.prototype_layer.prototypes.detach()[[0, 3, 5]]
    assert len(own.unique(dim=0)) == 3
    assert 0 < float((own - 0.3).abs().max()) < 0.06


def test_prototypes_stay_in_the_unit_cube() -> None:
    batch = {"image": torch.full((1, 3, 4, 4), 1e-9), "labels": torch.zeros(1, 4, 4).long()}
    model = model_on_pixels()
    initialise_prototypes(model, loader([batch]), noise=0.5)
    prototypes = model.prototype_layer.prototypes.detach()
    assert ((prototypes >= 0) & (prototypes <= 1)).all()


def test_fewer_pixels_than_prototypes() -> None:
    labels = torch.full((1, 4, 4), 255)
    labels[0, 0, :2] = 0
    image = torch.zeros(1, 3, 4, 4)
    image[0, :2, 0, :2] = CLUSTERS[:2].T
    model = model_on_pixels()
    initialise_prototypes(model, loader([{"image": image, "labels": labels}]), noise=0)
    result = model.prototype_layer.prototypes.detach()[[0, 3, 5]]
    torch.testing.assert_close(result, CLUSTERS[[0, 1, 0]], rtol=0, atol=1e-5)


def test_the_seed_decides_and_nothing_else_does() -> None:
    batches = clustered()
    batches[0]["image"][:, :2] = torch.rand(2, 2, 8, 12)
    starts = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(starts))
        model = model_on_pixels()
        model.prototype_layer.prototypes.data[4] = 0
        initialise_prototypes(model, loader(batches), seed=seed)
        starts.append(model.prototype_layer.prototypes.detach())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


@pytest.mark.parametrize(("images", "read"), [(1, 1), (4, 2), (100, 5)])
def test_no_more_images_are_read_than_requested(images: int, read: int) -> None:
    batches_read = []

    def count() -> DataLoader:
        for batch in clustered() * 5:
            batches_read.append(batch)
            yield batch

    initialise_prototypes(model_on_pixels(), count(), images=images)
    assert len(batches_read) == read


def test_the_mode_is_restored(device: torch.device) -> None:
    model = model_on_pixels().to(device)
    initialise_prototypes(model, loader(clustered()))
    assert model.training
    assert model.prototype_layer.prototypes.requires_grad
    assert model.prototype_layer.prototypes.device.type == device.type
