import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data import EM, LayoutError, create_dataset
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
    assert (EM(tmp_path).slices, EM(tmp_path, "val").slices) == (range(24), range(24, 30))
    assert EM(tmp_path, "val", validation_slices=10).slices == range(20, 30)
    for wrong in (0, 30):
        with pytest.raises(ValueError, match=f"validation_slices={wrong} of 30 slices"):
            EM(tmp_path, validation_slices=wrong)


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
