import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import protoxai.data
from protoxai.data import (
    DATASETS,
    CamVid,
    RawSample,
    SegmentationDataset,
    Shapes,
    create_dataset,
    register,
)
from protoxai.training import Recipe
from protoxai.training.feeding.loaders import Splits

OWN = """
import torch
from protoxai.data import RawSample, SegmentationDataset, register

@register("Night-Sky")
class NightSky(SegmentationDataset):
    def __init__(self, split="train", **shapes):
        super().__init__(["sky", "star"])
    def __len__(self):
        return 2
    def raw(self, index):
        labels = torch.eye(8, dtype=torch.int64)
        return RawSample(torch.zeros(3, 8, 8, dtype=torch.uint8), labels, id=f"night-{index}")
"""


@pytest.fixture(autouse=True)
def _registry_as_it_was():
    before = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(before)


def test_names_and_options():
    official = {"pascal_voc", "sbd", "cityscapes", "ade20k", "coco_stuff", "em"}
    assert set(DATASETS) >= {"shapes", "camvid", "folder"} | official
    dataset = create_dataset("shapes", size=(64, 80), length=3, split="val")
    assert isinstance(dataset, Shapes)
    assert (len(dataset), dataset.size, dataset.split) == (3, (64, 80), "val")


def test_every_module_of_the_package_is_imported():
    names = [module.name for module in pkgutil.walk_packages(protoxai.data.__path__)]
    assert {"camvid", "registry", "pascal"} <= set(names)
    everything = pkgutil.walk_packages(protoxai.data.__path__, "protoxai.data.")
    assert {module.name for module in everything} <= set(sys.modules)


def test_hyphens_and_capitals_do_not_matter():
    assert len(create_dataset("Shapes", length=4)) == 4

    @register("My-Scans")
    class MyScans(Shapes): ...

    for name in ("my-scans", "my_scans", "My-Scans"):
        assert isinstance(create_dataset(name), MyScans)
    with pytest.raises(ValueError, match=r"'my_scans' is taken by .*MyScans"):
        register("my_scans")(CamVid)


def test_unknown_name_gives_the_close_one_the_list_and_how_to_add_one():
    with pytest.raises(
        ValueError,
        match=r"'CamVidd'.*did you mean 'camvid'.*folder, .*shapes.*plugins in a recipe",
    ):
        create_dataset("CamVidd")


def test_unknown_and_missing_options():
    with pytest.raises(TypeError, match=r"'shapes'.*'lengths'.*did you mean 'length'.*seed"):
        create_dataset("shapes", lengths=3)
    with pytest.raises(TypeError, match=r"'camvid'.*root"):
        create_dataset("camvid")


def test_a_name_is_given_once():
    register("camvid")(CamVid)
    with pytest.raises(ValueError, match="'camvid' is taken by CamVid"):
        register("camvid")(Shapes)


def test_a_class_of_the_same_name_from_another_file_takes_no_name():
    other = type("CamVid", (Shapes,), {"__module__": __name__})
    with pytest.raises(ValueError, match="'camvid' is taken by CamVid"):
        register("camvid")(other)
    assert DATASETS["camvid"] is CamVid


def test_defining_a_class_again_replaces_it():
    # As a cell of a notebook does that runs twice.
    def define():
        @register("again")
        class Again(Shapes): ...

        return Again

    define()
    second = define()
    assert DATASETS["again"] is second


@pytest.mark.parametrize("value", [Shapes(), RawSample, lambda: Shapes()])
def test_only_data_sets_are_registered(value):
    with pytest.raises(TypeError, match="expected a subclass of SegmentationDataset"):
        register("mine")(value)


def test_a_recipe_finds_a_data_set_from_outside_of_the_package(tmp_path, monkeypatch):
    (tmp_path / "night_sky_data.py").write_text(OWN)
    recipe = (Path(__file__).parents[2] / "benchmarks/recipes/shapes.yaml").resolve()
    (tmp_path / "night.yaml").write_text(
        f"extends: {recipe}\n"
        "plugins: [night_sky_data.py]\n"
        "data: {dataset: night_sky, train_split: train, validation_split: val}\n"
    )
    try:
        loaded = Recipe.load(tmp_path / "night.yaml")
        splits = Splits.of(loaded.data)
    finally:
        sys.modules.pop("night_sky_data", None)
    assert [sample["id"] for sample in splits.train] == ["night-0", "night-1"]
    assert isinstance(splits.validation, SegmentationDataset)


def test_a_script_that_is_its_own_plugin_registers_its_class_once(tmp_path):
    script = tmp_path / "train_sky.py"
    script.write_text(
        OWN
        + "from protoxai.runtime.plugins import import_plugin\n"
        + "from protoxai.data import create_dataset\n"
        + "if __name__ == '__main__':\n"
        + "    import_plugin(__file__)\n"
        + "    print(create_dataset('night-sky'))\n"
    )
    finished = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.stdout == "NightSky(2 samples, 2 classes)\n", finished.stderr
