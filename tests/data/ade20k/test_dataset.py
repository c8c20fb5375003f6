import numpy as np
import pytest
import torch

from protoxai.data import ADE20K, LayoutError, create_dataset
from tests.data.trees import make_ade20k, save_grey


@pytest.fixture
def root(tmp_path):
    return make_ade20k(tmp_path)


@pytest.mark.parametrize("given", ["", "ADEChallengeData2016"])
def test_zero_is_void_and_the_others_move_down(root, given):
    dataset = ADE20K(root / given)
    assert (len(dataset), dataset.num_classes) == (4, 150)
    sample = dataset[0]
    assert sample["id"] == "ADE_train_00000001"
    assert sample["labels"].unique().tolist() == [0, 1, 2, 149, 255]
    assert sample["labels"][10, 20] == 255
    assert sample["labels"][10, 60] == 149


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("train", "ADE_train_00000001"), ("training", "ADE_train_00000001"),
        ("val", "ADE_val_00000001"), ("validation", "ADE_val_00000001"),
        ("test", "ADE_test_00000001"), ("testing", "ADE_test_00000001"),
    ],
)  # fmt: skip
def test_names_of_the_splits(root, name, first):
    assert create_dataset("ade20k", root=root, split=name)[0]["id"] == first


def test_test_split_has_no_labels(root):
    assert ADE20K(root, "test")[1]["labels"].unique().tolist() == [255]


def test_official_names_and_colours(root):
    dataset = ADE20K(root)
    assert len(set(dataset.class_names)) == len(dataset.palette) == 150
    for number, name in ((1, "wall"), (13, "person"), (76, "swivel chair"), (150, "flag")):
        assert dataset.class_names[number - 1] == name
    assert dataset.palette[0] == (120, 120, 120)
    assert dataset.palette[-1] == (92, 0, 255)


def test_prediction_in_the_numbers_of_the_annotations(root):
    dataset = ADE20K(root)
    image = dataset.encode_prediction(torch.tensor([[0, 149, 255]]))
    assert image.mode == "L"
    assert np.array(image).tolist() == [[1, 150, 0]]
    assert dataset.prediction_name("ADE_test_00000001") == "ADE_test_00000001.png"


def test_label_out_of_range(root):
    path = root / "ADEChallengeData2016/annotations/training/ADE_train_00000002.png"
    save_grey(path, np.full((60, 80), 151, dtype=np.uint8))
    with pytest.raises(ValueError, match="ADE_train_00000002 hold 150; expected classes 0 to 149"):
        ADE20K(root)[1]


def test_values_of_sixteen_bits_are_never_ignored(root):
    path = root / "ADEChallengeData2016/annotations/training/ADE_train_00000002.png"
    save_grey(path, np.full((60, 80), 256, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"00000002\.png: .*\[256\], expected values of 8 bits"):
        ADE20K(root)[1]


@pytest.mark.parametrize("gone", ["images/training/{}.jpg", "annotations/training/{}.png"])
def test_half_extracted(root, gone):
    file = gone.format("ADE_train_00000003")
    (root / "ADEChallengeData2016" / file).unlink()
    folder, _, name = file.rpartition("/")
    with pytest.raises(LayoutError, match=rf"1 of 4 files are missing in .*{folder}: {name}"):
        ADE20K(root)


def test_missing(root):
    (root / "ADEChallengeData2016/annotations/validation").rename(root / "x")
    expected = (
        r"(?s)✓ images/validation/\*\.jpg.*✗ annotations/validation/\*\.png.*contains training"
    )
    with pytest.raises(LayoutError, match=expected):
        ADE20K(root, "val")
    with pytest.raises(ValueError, match=r"no split 'trainval'.*'training'"):
        ADE20K(root, "trainval")
