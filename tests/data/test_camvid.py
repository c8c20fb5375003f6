import os

import numpy as np
import pytest

from protoxai.data import CamVid, LayoutError, class_frequencies, training_transform


def test_value_11_does_not_count(write_pair):
    root = write_pair("a", np.array([[0, 10, 11], [5, 11, 3]]), folder="val")
    dataset = CamVid(root, "val")
    assert dataset[0]["labels"].tolist() == [[0, 10, 255], [5, 255, 3]]
    assert dataset.num_classes == len(set(dataset.palette)) == 11
    assert (dataset.class_names[0], dataset.class_names[10]) == ("Sky", "Bicyclist")


def test_missing(write_pair):
    root = write_pair("a", np.zeros((2, 2)), folder="val")
    with pytest.raises(LayoutError, match=r"✗ train/images/\*  .*no train in the root, .* val"):
        CamVid(root)


def test_unknown_split(write_pair):
    with pytest.raises(ValueError, match="no split 'test'"):
        CamVid(write_pair("a", np.zeros((2, 2)), folder="val"), "test")


@pytest.mark.skipif("PROTOXAI_CAMVID" not in os.environ, reason="PROTOXAI_CAMVID names no folder")
def test_the_real_data():
    root = os.environ["PROTOXAI_CAMVID"]
    transform = training_transform(
        (180, 240), mean=(0.5,) * 3, std=(0.5,) * 3, scale=(0.75, 1.75), relative_to="crop"
    )
    train, val = CamVid(root, "train", transform), CamVid(root, "val")
    assert (len(train), len(val)) == (367, 101)
    assert train[3]["image"].shape == (3, 180, 240)
    assert val.raw(0).image.shape == (3, 360, 480)
    frequencies = class_frequencies(val, limit=20)
    assert frequencies[3] > 0.2  # roads
    assert frequencies[2] < 0.03  # poles
