"""The projection and the pruning spread over processes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable, project_prototypes, prune_prototypes
from protoxai.projection import PruningRecord
from protoxai.projection.search import ProjectionRecord
from protoxai.runtime.distributed import ProcessError
from tests.toys import FIELDS, colour_model, loaded_colours, set_prototypes

SPREAD = PrototypeTable.regular(num_classes=3, num_scales=3, per_scale=2)


def spread_data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 3, (6, 3, 3, 4), generator=generator) / 4
    labels = torch.randint(0, 2, (6, 3, 4), generator=generator)
    labels[5, 0, 0] = 2  # on one rank alone
    images[1] = images[2]
    labels[1] = labels[2]  # the lower index is on the second rank
    return images, labels


def spread_record(chosen: Sequence[int]) -> tuple[ProjectionRecord, Any]:
    model = colour_model(SPREAD)
    set_prototypes(model, [i / 18 for i in range(18)])
    return project_prototypes(model, batches_of(chosen)), model


def batches_of(chosen: Sequence[int]) -> list[Any]:
    images, labels = spread_data()
    return [(images[[i]], labels[[i]], [i]) for i in chosen]


def pruned_record(model: Any, chosen: Sequence[int]) -> PruningRecord:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prune_prototypes(model, batches_of(chosen), nearest=3, least=2)


def check_failures(rank: int, chosen: Sequence[int]) -> None:
    """An image that cannot be read in one process is an error in all of them."""

    def image_of(index: int) -> Tensor:
        if rank == 0:
            raise OSError("the disk is gone")
        return torch.zeros(3, 3, 4, dtype=torch.uint8)

    model = colour_model(SPREAD)
    with pytest.raises((OSError, ProcessError), match="the disk is gone"):
        project_prototypes(model, batches_of(chosen), image_of=image_of)
    assert model.provenance is None


def project_on_a_share(rank: int, shares: Sequence[Sequence[int]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=len(shares)
    )
    try:
        # Counting from 0 on every rank would give different images the same number.
        with pytest.raises(ValueError, match="indices"):
            project_prototypes(colour_model(SPREAD), [spread_data()])
        check_failures(rank, shares[rank])
        record, model = spread_record(shares[rank])
        pruned = pruned_record(model, shares[rank])
    finally:
        torch.distributed.destroy_process_group()
    torch.save(
        {name: getattr(record, name) for name in FIELDS} | {"pruned": vars(pruned)},
        folder / f"{rank}.pt",
    )
    model.save_pretrained(folder / str(rank))


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[[0, 4, 2], [3, 1, 5]], [[5, 4, 3, 2, 1, 0], []]])
def test_two_processes_give_the_records_of_one(shares: list[list[int]], tmp_path: Path) -> None:
    record, model = spread_record(range(6))
    pruned = pruned_record(model, range(6))
    assert 0 < len(pruned.kept) < len(pruned.own)
    torch.multiprocessing.spawn(project_on_a_share, (shares, tmp_path), nprocs=2)
    for rank in ("0", "1"):
        result = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in FIELDS:
            assert torch.equal(result[name], getattr(record, name)), name
        for name, values in vars(pruned).items():
            assert torch.equal(result["pruned"][name], values), name
        loaded = loaded_colours(tmp_path / rank)
        assert loaded.provenance == model.provenance
        assert torch.equal(loaded.prototype_layer.prototypes, model.prototype_layer.prototypes)
        assert loaded.table == model.table
        assert loaded.patches == model.patches
        distances = model.class_distances.nan_to_num(-1)
        assert torch.equal(loaded.class_distances.nan_to_num(-1), distances)
