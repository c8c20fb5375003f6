import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data import EM, LayoutError, create_dataset
from protoxai.training import Recipe
from tests.data.trees import make_em, save_stack


@pytest.fixture
def root(tmp_path):
    return make_em(tmp_path, images=8)


def page(path, number):
    with Image.open(path) as stack:
        stack.seek(number)
        return torch.from_numpy(np.array(stack))


def test_slices_in_order_and_grey_as_rgb(root):
    train, val = EM(root), create_dataset("em", root=root, split="val")
    assert (len(train), len(val)) == (8, 2)
    assert [train[0]["id"], val[1]["id"]] == ["train-volume-00", "train-volume-09"]
    raw = val.raw(0)
    assert raw.image.dtype == torch.uint8
    for channel in raw.image:
        assert torch.equal(channel, page(root / "train-volume.tif", 8))
    assert torch.equal(raw.labels, (page(root / "train-labels.tif", 8) == 255).long())
    assert raw.labels.unique().tolist() == [0, 1]
    assert train.class_names == ("membrane", "cell")


def test_last_fifth_is_for_validation(tmp_path):
    blank = [np.zeros((4, 4), dtype=np.uint8)] * 30
    save_stack(tmp_path / "train-volume.tif", blank)
    save_stack(tmp_path / "train-labels.tif", blank)
    splits = EM(tmp_path).slices, EM(tmp_path, "val").slices
    assert splits == (tuple(range(24)), tuple(range(24, 30)))
    assert EM(tmp_path, "val", validation_slices=10).slices == tuple(range(20, 30))
    for wrong in (30, 31):
        with pytest.raises(ValueError, match=f"validation_slices={wrong} of 30 slices"):
            EM(tmp_path, validation_slices=wrong)
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f"validation_slices is {wrong}, .* at least 1"):
            EM(tmp_path, validation_slices=wrong)


def test_validation_slices_by_their_numbers(root):
    train, val = (EM(root, split, validation_slices=[9, 0, 4]) for split in ("train", "val"))
    assert val.slices == (0, 4, 9)
    assert train.slices == (1, 2, 3, 5, 6, 7, 8)
    assert val[1]["id"] == train.raw(3).id.replace("05", "04") == "train-volume-04"
    assert torch.equal(val.raw(2).image[0], page(root / "train-volume.tif", 9))
    for wrong in ([10], list(range(10))):
        message = r"validation_slices=\[.*\] of 10 slices: give numbers from 0 to 9, or"
        with pytest.raises(ValueError, match=message):
            EM(root, validation_slices=wrong)
    for wrong, error in (
        ([-1], ValueError),
        ([], ValueError),
        (["0"], TypeError),
        ("0", TypeError),
    ):
        with pytest.raises(error, match="validation_slices"):
            EM(root, validation_slices=wrong)


def test_the_released_split_is_that_of_its_seed():
    # 10 of the 30 slices, drawn without replacement.
    drawn = np.random.RandomState(42).choice(30, 10, replace=False)
    recipe = Recipe.load("em", {"data.root": "/nowhere"})
    assert recipe.data.options == {"validation_slices": sorted(drawn.tolist())}


def test_test_stack_has_no_labels(root):
    dataset = EM(root, "test")
    assert len(dataset) == 2
    assert dataset[1]["labels"].unique().tolist() == [255]
    assert dataset[1]["id"] == "test-volume-01"


def test_prediction_looks_like_the_labels(root):
    dataset = EM(root)
    stored = page(root / "train-labels.tif", 0)
    assert np.array_equal(np.array(dataset.encode_prediction(dataset.raw(0).labels)), stored)


def test_wrong_stacks(root):
    grey = [np.full((64, 64), 100, dtype=np.uint8)]
    save_stack(root / "train-labels.tif", grey * 10)
    with pytest.raises(ValueError, match=r"train-labels\.tif, slice 3, has the values \[100\]"):
        EM(root).raw(3)
    save_stack(root / "train-labels.tif", grey * 9)
    with pytest.raises(ValueError, match=r"train-volume\.tif 10, .*train-labels\.tif 9"):
        EM(root)
    (root / "train-labels.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"train-labels\.tif cannot be read"):
        EM(root)
    (root / "train-labels.tif").unlink()
    with pytest.raises(LayoutError, match=r"(?s)✓ train-volume\.tif.*✗ train-labels\.tif"):
        EM(root)
    with pytest.raises(ValueError, match="no split 'dev'"):
        EM(root, "dev")
