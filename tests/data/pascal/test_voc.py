import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import VOCSegmentation

from protoxai.data import LayoutError, PascalVOC, create_dataset
from tests.data.trees import make_pascal_voc, save_list

LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"


@pytest.fixture
def root(tmp_path):
    return make_pascal_voc(tmp_path)


def test_official_labels_with_borders(root):
    dataset = PascalVOC(root)
    assert (len(dataset), dataset.num_classes) == (4, 21)
    raw = dataset.raw(0)
    assert raw.id == "2007_000100"
    assert raw.image.shape == (3, 60, 80)
    assert raw.labels.dtype == torch.int64
    assert raw.labels.unique().tolist() == [0, 1, 2, 7, 15, 255]
    assert raw.labels[5, 8] == 255
    assert raw.labels[7, 10] == 15
    assert raw.parts is None
    assert dataset.part_names == ()


def test_another_reader_sees_the_same(root):
    reference = VOCSegmentation(root, image_set="val")
    dataset = PascalVOC(root, "val")
    assert len(reference) == len(dataset)
    for (image, target), sample in zip(reference, map(dataset.raw, range(4)), strict=True):
        assert np.array_equal(np.array(image), sample.image.permute(1, 2, 0))
        assert np.array_equal(np.array(target), sample.labels)


@pytest.mark.parametrize("given", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_root_at_every_depth(root, given):
    assert len(PascalVOC(root / given, "val")) == 4
    assert len(PascalVOC(str(root / given), "trainval")) == 8


def test_official_names_and_colours(root):
    dataset = PascalVOC(root)
    names = (dataset.class_names[0], dataset.class_names[11], dataset.class_names[20])
    assert names == ("background", "diningtable", "tvmonitor")
    assert dataset.palette[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert (dataset.palette[8], dataset.palette[20]) == ((64, 0, 0), (0, 64, 128))


def test_augmented_labels_have_no_borders_and_more_images(root):
    dataset = PascalVOC(root, "trainaug")
    ids = [dataset[index]["id"] for index in range(len(dataset))]
    assert ids == [*PascalVOC(root).ids, "2007_000400", "2007_000401"]
    assert (dataset.raw(0).labels != 255).all()
    assert dataset.raw(0).labels[5, 8] == 15


def test_augmented_labels_fall_back_on_the_official_ones(root):
    (root / "VOCdevkit/VOC2012/SegmentationClassAug/2007_000101.png").unlink()
    dataset = PascalVOC(root, "trainaug")
    assert torch.equal(dataset.raw(1).labels, PascalVOC(root).raw(1).labels)
    (root / "VOCdevkit/VOC2012/SegmentationClassAug/2007_000401.png").unlink()
    with pytest.raises(LayoutError, match=r"missing in .*SegmentationClassAug: 2007_000401\.png"):
        PascalVOC(root, "trainaug")


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("Segmentation/train_aug.txt", ["2007_000100", "2007_000400"]),
        ("SegmentationAug/train_aug.txt", ["/JPEGImages/2007_000100.jpg /x.png", "2007_000400"]),
        ("SegmentationAug/trainaug.txt", ["2007_000100 ", "", "2007_000400"]),
    ],
)
def test_names_of_the_augmented_list(root, path, lines):
    (root / LISTS / "trainaug.txt").unlink()
    save_list(root / LISTS / ".." / path, lines)
    assert PascalVOC(root, "trainaug").ids == ["2007_000100", "2007_000400"]


def test_list_of_what_is_added(root):
    (root / LISTS / "trainaug.txt").unlink()
    save_list(root / LISTS / "aug.txt", ["2007_000401", "2007_000103"])
    dataset = PascalVOC(root, "trainaug")
    assert dataset.ids == [f"2007_000{k}" for k in (100, 101, 102, 103, 401)]


def test_no_augmented_list_says_which_were_tried(root):
    (root / LISTS / "trainaug.txt").unlink()
    with pytest.raises(LayoutError) as caught:
        PascalVOC(root, "trainaug")
    message = str(caught.value)
    for name in ("trainaug.txt", "train_aug.txt", "SegmentationAug/train_aug.txt", "aug.txt"):
        assert name in message
    assert "✓ SegmentationClassAug/*.png" in message


def test_test_split_has_no_labels(root):
    sample = PascalVOC(root, "test")[0]
    assert sample["labels"].unique().tolist() == [255]
    assert sample["labels"].shape == sample["image"].shape[1:]


def test_half_extracted(root):
    (root / "VOCdevkit/VOC2012/JPEGImages/2007_000102.jpg").unlink()
    expected = r"PascalVOC \(split 'train'\): 1 of 4 .*JPEGImages: 2007_000102\.jpg"
    with pytest.raises(LayoutError, match=expected):
        PascalVOC(root)
    (root / LISTS / "val.txt").unlink()
    with pytest.raises(LayoutError, match=r"✗ ImageSets/Segmentation/val\.txt"):
        PascalVOC(root, "val")
    with pytest.raises(LayoutError, match=r"(?s)no JPEGImages in the root.*VOCtrainval_11-May"):
        PascalVOC(root / LISTS)
    with pytest.raises(ValueError, match=r"no split 'trainin'.*'trainaug'"):
        PascalVOC(root, "trainin")


def test_names_with_dots_and_spaces(root):
    folder = root / "VOCdevkit/VOC2012"
    names = ["2007.1", "2007.2", "2007 a"]
    for name in names:
        shutil.copy(folder / "JPEGImages/2007_000100.jpg", folder / f"JPEGImages/{name}.jpg")
        shutil.copy(
            folder / "SegmentationClass/2007_000100.png", folder / f"SegmentationClass/{name}.png"
        )
    save_list(folder / "ImageSets/Segmentation/train.txt", names)
    assert PascalVOC(root).ids == names
    save_list(folder / "ImageSets/Segmentation/train.txt", [*names, "2007 a"])
    with pytest.raises(ValueError, match=r"train\.txt has '2007 a' twice, as names 3 and 4"):
        PascalVOC(root)


def test_empty_list(root):
    save_list(root / LISTS / "val.txt", [])
    with pytest.raises(ValueError, match=r"val\.txt is empty"):
        PascalVOC(root, "val")


def test_label_out_of_range_names_the_sample(root):
    path = root / "VOCdevkit/VOC2012/SegmentationClass/2007_000100.png"
    Image.fromarray(np.full((60, 80), 33, dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"2007_000100 hold 33; expected classes 0 to 20"):
        PascalVOC(root)[0]


def test_parts_lie_in_their_class(root):
    dataset = PascalVOC(root, parts=True)
    raw = dataset.raw(0)
    named = {dataset.part_names[part] for part in raw.parts.unique().tolist()}
    assert named == {"none", "person head", "person torso", "car wheel", "car front side"}
    assert dataset.part_names[raw.parts[10, 20]] == "person head"
    assert dataset.part_names[raw.parts[20, 20]] == "person torso"
    inside = raw.parts > 0
    assert torch.equal(torch.tensor(dataset.part_class)[raw.parts[inside]], raw.labels[inside])
    assert not raw.parts[raw.labels == 255].any()
    assert (raw.parts[raw.labels == 15] > 0).all()
    assert dataset[0]["parts"].dtype == torch.int64


def test_image_without_parts_and_no_parts_at_all(root):
    folder = root / "VOCdevkit/VOC2012/Annotations_Part"
    (folder / "2007_000100.mat").unlink()
    assert not PascalVOC(root, parts=True).raw(0).parts.any()
    folder.rename(root / "Annotations_Part")
    assert PascalVOC(root, parts=True).raw(1).parts.shape == (60, 80)
    (root / "Annotations_Part").rename(root / "gone")
    with pytest.raises(LayoutError, match=r"Annotations_Part.*Nothing is downloaded"):
        PascalVOC(root, parts=True)


def test_prediction_is_a_palette_png(root, tmp_path):
    dataset = create_dataset("pascal_voc", root=root, split="val")
    raw = dataset.raw(1)
    path = tmp_path / dataset.prediction_name(raw.id)
    dataset.encode_prediction(raw.labels).save(path)
    assert path.name == "2007_000201.png"
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), raw.labels.numpy())
        assert tuple(image.getpalette()[45:48]) == dataset.palette[15]
