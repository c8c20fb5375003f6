import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import SBDataset

from protoxai.data import SBD, LayoutError, create_dataset
from tests.data.trees import make_sbd, save_list


@pytest.mark.parametrize("given", ["", "benchmark_RELEASE", "benchmark_RELEASE/dataset"])
def test_labels_from_the_mat_files(tmp_path, given):
    dataset = SBD(make_sbd(tmp_path) / given)
    assert (len(dataset), dataset.num_classes) == (4, 21)
    sample = dataset[0]
    assert sample["id"] == "2008_000100"
    assert sample["labels"].unique().tolist() == [0, 1, 2, 3, 4]
    assert sample["labels"][10, 20] == 1


def test_another_reader_sees_the_same(tmp_path):
    reference = SBDataset(make_sbd(tmp_path) / "benchmark_RELEASE/dataset", mode="segmentation")
    image, target = reference[2]
    raw = SBD(tmp_path).raw(2)
    assert np.array_equal(np.array(image), raw.image.permute(1, 2, 0))
    assert np.array_equal(np.array(target), raw.labels)


def test_train_without_the_images_of_voc_val(tmp_path):
    make_sbd(tmp_path)
    with pytest.raises(LayoutError, match=r"✗ train_noval\.txt"):
        SBD(tmp_path, "train_noval")
    save_list(tmp_path / "benchmark_RELEASE/dataset/train_noval.txt", ["2008_000201"])
    assert create_dataset("sbd", root=tmp_path, split="train_noval")[0]["id"] == "2008_000201"


@pytest.mark.parametrize(
    "truth", [{"Boundaries": 1}, {"Segmentation": np.full((60, 80), 1.5)}, np.zeros((60, 80))]
)
def test_labels_that_are_no_class_numbers(tmp_path, truth):
    root = make_sbd(tmp_path) / "benchmark_RELEASE/dataset"
    savemat(root / "cls" / "2008_000100.mat", {"GTcls": truth})
    with pytest.raises(ValueError, match=r"100\.mat has no GTcls\.Segmentation of whole numbers"):
        SBD(root)[0]


def test_half_extracted(tmp_path):
    make_sbd(tmp_path)
    (tmp_path / "benchmark_RELEASE/dataset/cls/2008_000203.mat").unlink()
    with pytest.raises(LayoutError, match=r"1 of 4 files are missing in .*cls: 2008_000203\.mat"):
        SBD(tmp_path, "val")
    with pytest.raises(ValueError, match="no split 'trainval'"):
        SBD(tmp_path, "trainval")
