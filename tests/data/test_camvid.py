import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protoxai.data import CamVid, LayoutError, class_frequencies, training_transform


def test_value_11_does_not_count(write_pair):
    root = write_pair("a", np.array([[0, 10, 11], [5, 11, 3]]), folder="val")
    dataset = CamVid(root, "val")
    assert dataset[0]["labels"].tolist() == [[0, 10, 255], [5, 255, 3]]
    assert dataset.num_classes == len(set(dataset.palette)) == 11
    assert (dataset.class_names[0], dataset.class_names[10]) == ("Sky", "Bicyclist")


def write_frames(folder: Path, names: str, *, nested: bool) -> None:
    """Write a frame for each name, in either layout; its labels are the number of the frame."""
    images, labels = ("images", "labels") if nested else (".", f"../{folder.name}annot")
    for number, name in enumerate(names.split()):
        for kind, mode in ((images, "RGB"), (labels, "L")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.new(mode, (3, 2), (number,) * len(mode)).save(folder / kind / f"{name}.png")


@pytest.mark.parametrize("nested", [True, False])
def test_both_layouts_and_three_splits(tmp_path, nested):
    frames = {"train": "0001TP_1 0006R0_f2", "val": "0016E5_1", "test": "Seq05VD_f0 Seq05VD_f9"}
    for split, names in frames.items():
        write_frames(tmp_path / split, names, nested=nested)
        dataset = CamVid(tmp_path, split)
        assert list(dataset.ids) == names.split()
        assert dataset[len(dataset) - 1]["labels"].unique().tolist() == [len(dataset) - 1]


@pytest.mark.parametrize("nested", [True, False])
def test_a_video_is_held_out(tmp_path, nested):
    write_frames(tmp_path / "train", "Seq05VD_f1 0001TP_1 0006R0_f2 0001TP_9", nested=nested)
    write_frames(tmp_path / "test", "0001TP_5 0006R0_7", nested=nested)
    splits = [CamVid(tmp_path, split, held_out="0001TP") for split in ("train", "val", "test")]
    assert [list(dataset.ids) for dataset in splits] == [
        ["0006R0_f2", "Seq05VD_f1"],
        ["0001TP_1", "0001TP_9"],
        ["0001TP_5", "0006R0_7"],
    ]
    assert len(CamVid(tmp_path, "train")) == 4
    assert list(CamVid(tmp_path, "val", held_out="Seq05VD").ids) == ["Seq05VD_f1"]


def test_the_frames_of_a_video_are_a_group(tmp_path):
    write_frames(tmp_path / "train", "0001TP_1 0001TP_2 0006R0_f2", nested=True)
    dataset = CamVid(tmp_path, "train")
    assert [dataset.group(index) for index in range(3)] == ["0001TP", "0001TP", "0006R0"]
    assert dataset.group_noun == "videos"
    with pytest.raises(IndexError, match="no sample 3"):
        dataset.group(3)


def test_a_video_that_cannot_be_held_out(tmp_path):
    write_frames(tmp_path / "train", "0001TP_1 0006R0_f2", nested=True)
    for split in ("train", "val"):
        with pytest.raises(ValueError, match=r"held_out is '0001tp', .*which has 0001TP, 0006R0:"):
            CamVid(tmp_path, split, held_out="0001tp")
    write_frames(tmp_path / "one" / "train", "0001TP_1 0001TP_2", nested=True)
    with pytest.raises(ValueError, match=r"held_out is '0001TP', expected one of two or more"):
        CamVid(tmp_path / "one", "val", held_out="0001TP")
    with pytest.raises(TypeError, match=r"held_out is 6"):
        CamVid(tmp_path, "train", held_out=6)


def test_missing(write_pair):
    root = write_pair("a", np.zeros((2, 2)), folder="val")
    message = r"✗ train/\*\.png or train/images/\*  .*no train in the root, .* val"
    with pytest.raises(LayoutError, match=message):
        CamVid(root)
    with pytest.raises(LayoutError, match=r"✗ testannot/\*\.png or test/labels/\*\.png"):
        CamVid(root, "test")


def test_other_label_files(write_pair):
    root = write_pair("a", np.array([[0, 12], [200, 11]]), folder="train")
    with pytest.raises(
        ValueError, match=r"a\.png: label map with the values \[12, 200\], .*0 to 10"
    ):
        CamVid(root)[0]


def test_unknown_split(write_pair):
    with pytest.raises(ValueError, match="no split 'trainval'"):
        CamVid(write_pair("a", np.zeros((2, 2)), folder="val"), "trainval")


@pytest.mark.skipif("PROTOXAI_CAMVID" not in os.environ, reason="PROTOXAI_CAMVID names no folder")
def test_the_real_data():
    root = os.environ["PROTOXAI_CAMVID"]
    transform = training_transform(
        (180, 240), mean=(0.5,) * 3, std=(0.5,) * 3, scale=(0.75, 1.75), relative_to="crop"
    )
    train, val = CamVid(root, "train", transform), CamVid(root, "val")
    assert (len(train), len(val)) == (367, 101)
    left, held_out = (CamVid(root, split, held_out="0006R0") for split in ("train", "val"))
    assert (len(left), len(held_out)) == (266, 101)
    assert train[3]["image"].shape == (3, 180, 240)
    assert val.raw(0).image.shape == (3, 360, 480)
    frequencies = class_frequencies(val, limit=20)
    assert frequencies[3] > 0.2  # roads
    assert frequencies[2] < 0.03  # poles
