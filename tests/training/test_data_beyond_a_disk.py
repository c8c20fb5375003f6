"""Whole runs on data that are samples by number, and on data that litdata streams."""

from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai.data import MappedDataset, SegmentationDataset, StreamedItems
from protoxai.training import Recipe, run
from protoxai.training.feeding.loaders import Splits
from tests.training.cases import Halves, micro, toy_model, write

NAMES = ("dark", "bright")


def trained(data: SegmentationDataset, folder: Path, workers: int = 0) -> Any:
    folder.mkdir(exist_ok=True)
    keys = micro()
    keys["data"].update(crop=[32, 48], workers=workers)
    keys["loggers"] = []
    torch.manual_seed(1)
    splits = Splits(data, data, Halves(3))
    recipe = Recipe.load(write(keys, folder))
    return run(recipe, folder / "run", splits=splits, model=toy_model(), progress=False).model


def samples() -> list[dict[str, Any]]:
    raw = [Halves().raw(index) for index in range(6)]
    return [{"image": each.image, "labels": each.labels, "id": each.id} for each in raw]


def assert_alike(one: Any, other: Any) -> None:
    assert one.provenance == other.provenance
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_run_on_samples_by_number(tmp_path: Path) -> None:
    mapped = trained(MappedDataset(samples(), NAMES), tmp_path / "mapped")
    assert_alike(mapped, trained(Halves(), tmp_path / "halves"))
    assert {entry.image_id for entry in mapped.provenance} <= {f"half-{i}" for i in range(6)}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_run_on_a_stream(tmp_path: Path) -> None:
    litdata = pytest.importorskip("litdata")
    from litdata.streaming import Cache

    cache = Cache(str(tmp_path / "store"), chunk_size=2)
    for index, sample in enumerate(samples()):
        cache[index] = sample
    cache.done()
    cache.merge()
    stream = StreamedItems(litdata.StreamingDataset(str(tmp_path / "store")))
    assert len(stream) == 6
    streamed = trained(MappedDataset(stream, NAMES), tmp_path / "streamed", workers=1)
    assert_alike(streamed, trained(Halves(), tmp_path / "halves", workers=1))
