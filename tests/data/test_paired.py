from pathlib import Path

import numpy as np
import pytest
import torch

from protoxai.data import ADE20K, CamVid, FolderDataset, PairedDataset, create_dataset
from tests.data.trees import make_ade20k, save_grey, save_tagged

UPRIGHT = np.arange(24, dtype=np.uint8).reshape(4, 6)
"""Picture as its photographer saw it; its labels are the numbers of its pixels."""
SQUARE = UPRIGHT[:, :4]
TURNS = {3: 2, 6: 1, 8: -1}
"""Quarter turns (anticlockwise) from the upright picture to what the camera stores."""


def save_pair(root, picture, orientation, labels, label_orientation=1):
    stored = np.rot90(picture, TURNS.get(orientation, 0))
    save_tagged(root / "images" / "a.png", np.stack([stored] * 3, -1), orientation)
    save_tagged(root / "labels" / "a.png", np.ascontiguousarray(labels), label_orientation)
    return stored


def lie_on_each_other(dataset):
    raw = dataset.raw(0)
    return torch.equal(raw.image[0].long(), raw.labels)


@pytest.mark.parametrize("orientation", [6, 8])
def test_labels_of_the_upright_size_turn_the_image(tmp_path, orientation):
    save_pair(tmp_path, UPRIGHT, orientation, UPRIGHT)
    for exif in (None, "apply"):
        dataset = FolderDataset(tmp_path, num_classes=24, exif=exif)
        assert lie_on_each_other(dataset)
        assert np.array_equal(dataset.raw(0).labels, UPRIGHT)
    with pytest.raises(ValueError, match=r"images.a\.png is 4x6 pixels.*labels.a\.png 6x4"):
        FolderDataset(tmp_path, num_classes=24, exif="ignore").raw(0)


def test_labels_of_the_stored_size_are_refused_unless_exif_is_ignored(tmp_path):
    stored = save_pair(tmp_path, UPRIGHT, 6, np.rot90(UPRIGHT))
    fits = r"a\.png has the EXIF orientation 6.* stored pixels only: give exif='ignore'"
    with pytest.raises(ValueError, match=fits):
        FolderDataset(tmp_path, num_classes=24).raw(0)
    dataset = create_dataset("folder", root=tmp_path, num_classes=24, exif="ignore")
    assert lie_on_each_other(dataset)
    assert np.array_equal(dataset.raw(0).labels, stored)


@pytest.mark.parametrize(("picture", "orientation"), [(SQUARE, 6), (SQUARE, 3), (UPRIGHT, 3)])
def test_labels_of_either_size_are_refused(tmp_path, picture, orientation):
    stored = save_pair(tmp_path, picture, orientation, picture)
    with pytest.raises(
        ValueError, match=r"fits .* with and without it: give exif='apply'.*'ignore'"
    ):
        FolderDataset(tmp_path, num_classes=24).raw(0)
    assert lie_on_each_other(FolderDataset(tmp_path, num_classes=24, exif="apply"))
    save_grey(tmp_path / "labels" / "a.png", np.ascontiguousarray(stored))
    assert lie_on_each_other(FolderDataset(tmp_path, num_classes=24, exif="ignore"))


def test_labels_with_an_orientation_of_their_own(tmp_path):
    save_pair(tmp_path, UPRIGHT, 8, np.rot90(UPRIGHT, -1), label_orientation=8)
    with pytest.raises(ValueError, match=r"labels.a\.png is a label map with the EXIF orientation"):
        FolderDataset(tmp_path, num_classes=24).raw(0)
    for exif in ("apply", "ignore"):
        assert lie_on_each_other(FolderDataset(tmp_path, num_classes=24, exif=exif))


def test_unknown_exif(tmp_path):
    save_pair(tmp_path, UPRIGHT, 1, UPRIGHT)
    with pytest.raises(ValueError, match="exif is 'upright', expected 'apply', 'ignore' or None"):
        FolderDataset(tmp_path, num_classes=24, exif="upright")


def test_official_files_are_never_turned(tmp_path):
    images, labels = tmp_path / "images" / "training", tmp_path / "annotations" / "training"
    root = make_ade20k(tmp_path, images=1) / "ADEChallengeData2016"
    images, labels = root / "images" / "training", root / "annotations" / "training"
    save_tagged(images / "ADE_train_00000001.jpg", np.zeros((40, 40, 3), np.uint8), 6)
    save_tagged(labels / "ADE_train_00000001.png", np.eye(40, dtype=np.uint8), 3)
    assert ADE20K(root).raw(0).labels.ne(255).nonzero().tolist() == [[k, k] for k in range(40)]
    save_tagged(tmp_path / "train" / "images" / "a.jpg", np.zeros((3, 3, 3), np.uint8), 6)
    save_tagged(tmp_path / "train" / "labels" / "a.png", np.eye(3, dtype=np.uint8), 6)
    assert CamVid(tmp_path).raw(0).labels.tolist() == np.eye(3).tolist()


class Own(PairedDataset):
    """Two files of one's own; class numbers begin with 1 in them."""

    def __init__(self, root: Path) -> None:
        super().__init__(["a"], ["ground", "plant"])
        self.root = root

    def image_path(self, index: int) -> Path:
        return self.root / "images" / "a.png"

    def label_path(self, index: int) -> Path:
        return self.root / "labels" / "a.png"

    def to_classes(self, stored: torch.Tensor) -> torch.Tensor:
        if not bool(stored.all()):
            raise ValueError("0 is no class")
        return stored.long() - 1


def test_files_of_a_class_of_ones_own(tmp_path):
    save_pair(tmp_path, UPRIGHT, 6, np.ones((4, 6), np.uint8))
    assert Own(tmp_path).raw(0).image[0].tolist() == UPRIGHT.tolist()
    save_pair(tmp_path, UPRIGHT, 3, np.ones((4, 6), np.uint8))
    with pytest.raises(ValueError, match="EXIF orientation 3"):
        Own(tmp_path).raw(0)
    save_pair(tmp_path, UPRIGHT, 1, np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match=r"labels.a\.png: 0 is no class"):
        Own(tmp_path).raw(0)
