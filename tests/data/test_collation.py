import pytest
import torch
from torch.utils.data import DataLoader

from protoxai.data import Shapes, collate, evaluation_transform


@pytest.mark.parametrize("workers", [0, 1])
def test_batch_through_a_loader(workers):
    shapes = Shapes(size=48, length=5)
    batches = list(DataLoader(shapes, batch_size=2, collate_fn=collate, num_workers=workers))
    assert [len(batch["id"]) for batch in batches] == [2, 2, 1]
    first = batches[0]
    assert first["image"].shape == (2, 3, 48, 48)
    assert first["labels"].shape == first["parts"].shape == (2, 48, 48)
    assert first["index"].tolist() == [0, 1]
    assert first["id"] == ["train-0-0", "train-0-1"]
    assert torch.equal(first["labels"][1], shapes[1]["labels"])


def test_sizes_that_differ_are_named():
    samples = [Shapes(size=48)[0], Shapes(size=(48, 64), split="val")[3]]
    expected = r"image: train-0-0 \(3, 48, 48\), val-0-3 \(3, 48, 64\).*batch_size=1"
    with pytest.raises(ValueError, match=expected):
        collate(samples)


def test_labels_of_unequal_size_under_images_of_one_size():
    transform = evaluation_transform((32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    samples = [Shapes(size=size, transform=transform)[0] for size in (48, 64)]
    with pytest.raises(ValueError, match=r"labels: train-0-0 \(48, 48\)"):
        collate(samples)
