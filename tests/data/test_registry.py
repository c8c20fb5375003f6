import pytest

from protoxai.data import DATASETS, CamVid, Shapes, create_dataset, register


def test_names_and_options():
    official = {"pascal_voc", "sbd", "cityscapes", "ade20k", "coco_stuff", "em"}
    assert set(DATASETS) >= {"shapes", "camvid", "folder"} | official
    dataset = create_dataset("shapes", size=(64, 80), length=3, split="val")
    assert isinstance(dataset, Shapes)
    assert (len(dataset), dataset.size, dataset.split) == (3, (64, 80), "val")


def test_unknown_name_gives_the_close_one_and_the_list():
    with pytest.raises(ValueError, match=r"'CamVidd'.*did you mean 'camvid'.*folder, .*shapes"):
        create_dataset("CamVidd")


def test_unknown_and_missing_options():
    with pytest.raises(TypeError, match=r"'shapes'.*'lengths'.*did you mean 'length'.*seed"):
        create_dataset("shapes", lengths=3)
    with pytest.raises(TypeError, match=r"'camvid'.*root"):
        create_dataset("camvid")


def test_a_name_is_given_once(monkeypatch):
    monkeypatch.setattr("protoxai.data.registry.DATASETS", dict(DATASETS))
    register("camvid")(CamVid)
    with pytest.raises(ValueError, match="'camvid' is taken by CamVid"):
        register("camvid")(Shapes)
