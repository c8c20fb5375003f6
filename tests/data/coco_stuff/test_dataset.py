import numpy as np
import pytest
import torch

from protoxai.data import COCOStuff, LayoutError, create_dataset
from tests.data.trees import make_coco_stuff


@pytest.fixture
def root(tmp_path):
    return make_coco_stuff(tmp_path)


def test_ids_as_they_are(root):
    dataset = COCOStuff(root)
    assert (len(dataset), dataset.num_classes) == (4, 182)
    sample = dataset[0]
    assert sample["id"] == "000000000009"
    assert sample["labels"].unique().tolist() == [0, 1, 156, 181, 255]


@pytest.mark.parametrize("split", ["val", "val2017"])
@pytest.mark.parametrize("folder", ["stuffthingmaps_trainval2017", "stuffthingmaps"])
def test_other_folders_and_names(root, split, folder):
    (root / "annotations").rename(root / folder)
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").touch()
    dataset = create_dataset("coco_stuff", root=root, split=split)
    assert dataset[3]["id"] == "000000000142"
    assert dataset[0]["labels"].max() == 255


def test_names(root):
    names = COCOStuff(root).class_names
    assert len(set(names)) == 182
    # A label is one less than the number in the official list.
    for number, name in ((1, "person"), (91, "hair brush"), (92, "banner"), (182, "wood")):
        assert names[number - 1] == name


def test_prediction(root):
    image = COCOStuff(root).encode_prediction(torch.tensor([[0, 181, 255]]))
    assert np.array(image).tolist() == [[0, 181, 255]]


def test_half_extracted(root):
    (root / "images/train2017/000000000010.jpg").unlink()
    with pytest.raises(LayoutError, match=r"1 of 4 .*images/train2017: 000000000010\.jpg"):
        COCOStuff(root)
    (root / "annotations/val2017").rename(root / "x")
    with pytest.raises(LayoutError, match=r"✗ annotations/val2017/\*\.png or stuffthingmaps"):
        COCOStuff(root, "val")
    with pytest.raises(ValueError, match="no split 'test'"):
        COCOStuff(root, "test")
