"""The sample of each class's pixels, and their distances to its prototypes."""

from collections import Counter
from itertools import product

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable, project_prototypes, prune_prototypes
from protoxai.projection import class_samples
from protoxai.projection.batches import EmbeddedBatch
from protoxai.projection.class_samples import ClassSamples
from tests.cases import VOID
from tests.toys import colour_model

TABLE = PrototypeTable([0, 1, 0, 2, 0], [1, 0, 0, 1, 1], num_classes=4, num_scales=2)


def data(images: int = 6, side: int = 5) -> tuple[Tensor, Tensor]:
    """Embeddings that name their pixel, and labels, class 3 (without prototypes) and void too."""
    embedding = torch.rand(images, 2, 3, side, side)
    labels = torch.tensor([0, 1, 1, 2, 3, VOID])[torch.randint(0, 6, (images, side, side))]
    return embedding, labels


def sampled(
    embedding: Tensor, labels: Tensor, batches: list[list[int]], prototypes: Tensor
) -> Tensor:
    samples = ClassSamples(TABLE)
    for chosen in batches:
        names = [str(index) for index in chosen]
        images = torch.zeros(len(chosen), 3, 1, 1)
        batch = EmbeddedBatch(
            embedding[chosen], labels[chosen], labels[chosen], chosen, names, images
        )
        samples.update(batch)
    return samples.compute(prototypes)


def naive(embedding: Tensor, labels: Tensor, prototypes: Tensor) -> list[list[float]]:
    """The sorted distances from all pixels of each prototype's class."""
    rows = []
    for prototype, (class_index, scale) in enumerate(
        zip(TABLE.class_index.tolist(), TABLE.scale_index.tolist(), strict=True)
    ):
        distances = []
        places = product(range(len(labels)), range(labels.shape[1]), range(labels.shape[2]))
        for image, row, col in places:
            if labels[image, row, col] == class_index:
                vector = embedding[image, scale, :, row, col]
                distances.append(float((vector - prototypes[prototype]).square().sum()))
        rows.append(sorted(distances))
    return rows


def present(row: Tensor) -> list[float]:
    return sorted(row[~row.isnan()].tolist())


def test_all_pixels_of_few_are_a_naive_loops() -> None:
    embedding, labels = data()
    prototypes = torch.rand(5, 3)
    distances = sampled(embedding, labels, [[0, 1, 2, 3, 4, 5]], prototypes)
    expected = naive(embedding, labels, prototypes)
    counts = [len(row) for row in expected]
    assert distances.dtype == torch.float32
    assert distances.shape == (5, max(counts))
    assert (~distances.isnan()).sum(1).tolist() == counts
    for row, own in zip(distances, expected, strict=True):
        assert present(row) == pytest.approx(own, rel=1e-5)


def test_columns_are_the_same_pixels_for_all_prototypes_of_a_class() -> None:
    embedding, labels = data()
    # The same prototype again, and another at the other scale.
    prototypes = torch.rand(5, 3)
    prototypes[4] = prototypes[0]
    distances = sampled(embedding, labels, [[0, 1, 2, 3, 4, 5]], prototypes)
    assert torch.equal(distances[0].nan_to_num(-1), distances[4].nan_to_num(-1))
    pixels = embedding.permute(0, 3, 4, 1, 2)[labels == 0]
    pairs = {
        (round(float(a), 5), round(float(b), 5))
        for a, b in zip(
            (pixels[:, 1] - prototypes[0]).square().sum(1),
            (pixels[:, 0] - prototypes[2]).square().sum(1),
            strict=True,
        )
    }
    found = distances[[0, 2]][:, ~distances[0].isnan()].T.tolist()
    assert {(round(a, 5), round(b, 5)) for a, b in found} == pairs


@pytest.mark.parametrize("most", [4, 11, 256])
def test_batches_and_order_do_not_matter(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_samples, "PIXELS", most)
    embedding, labels = data(images=9)
    prototypes = torch.rand(5, 3)
    first = sampled(embedding, labels, [list(range(9))], prototypes)
    for batches in (
        [[index] for index in range(9)],
        [[8, 7, 6], [0, 1], [5, 4, 3, 2]],
        [[3, 1, 2, 0, 8], [3, 1, 4, 5, 6, 7]],  # images 3 and 1 again, as samplers may pad
    ):
        other = sampled(embedding, labels, batches, prototypes)
        assert torch.equal(first.nan_to_num(-1), other.nan_to_num(-1))
    assert first.shape[1] <= most


def test_a_large_class_is_sampled_over_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    # The embedding of a pixel is the number of its image.
    monkeypatch.setattr(class_samples, "PIXELS", 14)
    numbers = torch.arange(4.0)[:, None, None, None, None].expand(4, 2, 1, 5, 5).clone()
    labels = torch.zeros(4, 5, 5, dtype=torch.long)
    labels[3] = 1
    labels[3, 0, :2] = 0  # two pixels of class 0 in the last image, 25 in the others
    distances = sampled(numbers, labels, [[2, 3], [0, 1]], torch.zeros(5, 1))
    counts = Counter(distances[0].sqrt().tolist())
    assert counts == {0.0: 4, 1.0: 4, 2.0: 4, 3.0: 2}
    assert Counter(distances[1].sqrt().tolist()) == {3.0: 14}


def test_which_pixels_is_spread_over_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_samples, "PIXELS", 64)
    side = 32
    rows = torch.arange(float(side)).view(-1, 1).expand(side, side)
    embedding = rows[None, None, None].expand(1, 2, 1, -1, -1)
    labels = torch.zeros(1, side, side, dtype=torch.long)
    distances = sampled(embedding, labels, [[0]], torch.zeros(5, 1))
    quarters = Counter((distances[0].sqrt() // 8).tolist())
    assert set(quarters) == {0.0, 1.0, 2.0, 3.0}
    assert min(quarters.values()) >= 8


# --- through the projection


def test_the_projection_measures_distances_to_what_it_found() -> None:
    table = PrototypeTable([0, 1, 0, 2], [0, 0, 1, 0], num_classes=3, num_scales=3)
    model = colour_model(table)
    images, labels = torch.randn(3, 3, 4, 5), torch.randint(0, 2, (3, 4, 5))
    with pytest.warns(UserWarning, match="no pixel has class 2"):
        project_prototypes(model, [(images, labels)])
    distances = model.class_distances
    vectors = images.sigmoid()
    for prototype, (class_index, scale) in enumerate(
        zip(table.class_index.tolist(), table.scale_index.tolist(), strict=True)
    ):
        own = vectors[:, scale][labels == class_index]
        expected = (own - model.prototype_layer.prototypes[prototype].detach()).square()
        assert present(distances[prototype]) == pytest.approx(sorted(expected.tolist()), abs=1e-6)
    # The prototype is one of the pixels; those of an absent class have none.
    assert distances[:3].nan_to_num(9).amin(1).tolist() == [0, 0, 0]
    assert distances[3].isnan().all()


def test_rows_go_with_their_prototypes() -> None:
    model = colour_model(PrototypeTable.regular(2, 3, 2))
    images, labels = torch.randn(4, 3, 4, 5), torch.randint(0, 2, (4, 4, 5))
    project_prototypes(model, [(images, labels)])
    distances, patches = model.class_distances, model.patches
    assert len(distances) == len(patches) == len(model.table)
    kept = [1, 3, 4, 9]
    model.keep_prototypes(kept)
    assert torch.equal(model.class_distances.nan_to_num(-1), distances[kept].nan_to_num(-1))
    assert model.patches == tuple(patches[index] for index in kept)
    before = model.patches
    record = prune_prototypes(model, [(images, labels)], nearest=2, least=1)
    assert model.patches == tuple(before[index] for index in record.kept.tolist())
    assert len(model.class_distances) == len(record.kept)


def test_a_compact_model_keeps_rows() -> None:
    model = colour_model(PrototypeTable.regular(2, 3, 2))
    images, labels = torch.randn(4, 3, 4, 5), torch.randint(0, 2, (4, 4, 5))
    project_prototypes(model, [(images, labels)])
    model.group(2).head.threshold_(0.3)
    used = model.head.used_prototypes().tolist()
    compact = model.compact()
    assert 0 < len(used) < len(model.table)
    assert compact.patches == tuple(model.patches[index] for index in used)
    expected = model.class_distances[used].nan_to_num(-1)
    assert torch.equal(compact.class_distances.nan_to_num(-1), expected)
    compact.restructure(model.structure())
    assert compact.patches is compact.class_distances is compact.provenance is None


def test_projecting_again_replaces_all() -> None:
    model = colour_model(PrototypeTable.regular(2, 3, 2))
    first = (torch.randn(2, 3, 4, 5), torch.randint(0, 2, (2, 4, 5)))
    project_prototypes(model, [first])
    distances = model.class_distances
    project_prototypes(model, [first], patches=False)
    assert model.patches is None
    assert torch.equal(model.class_distances.nan_to_num(-1), distances.nan_to_num(-1))
