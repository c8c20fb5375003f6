import numpy as np
import pytest
import torch
from scipy.io import savemat

from protoxai.data.pascal.parts import (
    CODES,
    PART_CLASS,
    PART_NAMES,
    VOC_CLASSES,
    WORDS,
    read_pascal_parts,
)
from tests.data.trees import structs


def save(path, *objects):
    savemat(path, {"anno": structs([{"imname": "a", "objects": structs(objects)}])})


def thing(name, **parts):
    listed = [{"part_name": code, "mask": np.uint8(mask)} for code, mask in parts.items()]
    return {"class": name, "parts": structs(listed) if listed else np.zeros((0, 0))}


def test_table_is_one():
    assert len(PART_NAMES) == len(PART_CLASS) == len(set(PART_NAMES))
    assert (PART_NAMES[0], PART_CLASS[0]) == ("none", 0)
    assert all(
        name.startswith(VOC_CLASSES[label])
        for name, label in zip(PART_NAMES[1:], PART_CLASS[1:], strict=True)
    )
    assert "person right upper leg" in PART_NAMES
    assert "horse left back hoof" in PART_NAMES
    used = {code for codes in CODES.values() for code in codes.split()}
    assert set(WORDS) <= used
    assert set(CODES) < set(VOC_CLASSES)


def test_later_parts_cover_earlier_ones_and_numbered_ones_are_one(tmp_path):
    path = tmp_path / "a.mat"
    save(
        path,
        thing("boat"),
        thing("person", head=[[1, 1, 0, 0]], leye=[[0, 1, 0, 0]]),
        thing("bus", wheel_1=[[0, 0, 1, 0]], wheel_10=[[0, 0, 0, 1]]),
    )
    parts = read_pascal_parts(path, (1, 4))
    assert parts.dtype == torch.int64
    named = [PART_NAMES[part] for part in parts[0].tolist()]
    assert named == ["person head", "person left eye", "bus wheel", "bus wheel"]


def test_single_object_with_a_single_part(tmp_path):
    save(tmp_path / "a.mat", thing("tvmonitor", screen=[[0, 1], [0, 0]]))
    parts = read_pascal_parts(tmp_path / "a.mat", (2, 2))
    assert [PART_NAMES[part] for part in parts.flatten().tolist()].count("tvmonitor screen") == 1


def test_wrong_files(tmp_path):
    path = tmp_path / "a.mat"
    save(path, thing("person", screen=[[1, 0]]))
    with pytest.raises(ValueError, match=r"a\.mat.*no part 'screen' of a person; expected: head"):
        read_pascal_parts(path, (1, 2))
    save(path, thing("person", head=[[1, 0]]))
    with pytest.raises(ValueError, match=r"masks of \(1, 2\) pixels, the image \(3, 2\)"):
        read_pascal_parts(path, (3, 2))
    savemat(path, {"other": 1})
    with pytest.raises(ValueError, match="no variable 'anno', only other"):
        read_pascal_parts(path, (1, 2))
    path.write_bytes(b"MATLAB 5.0 but not really")
    savemat(tmp_path / "b.mat", {"anno": {"objects": structs([{"class": "person"}])}})
    with pytest.raises(ValueError, match=r"b\.mat is no annotation of parts .*'parts'"):
        read_pascal_parts(tmp_path / "b.mat", (3, 2))
    with pytest.raises(ValueError, match=r"a\.mat cannot be read as a MATLAB file"):
        read_pascal_parts(path, (1, 2))
