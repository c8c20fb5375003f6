"""Metrics over two processes against one."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.metrics import (
    DeletionInsertion,
    MeanIoU,
    PartConsistency,
    PartStability,
    PerImageMetric,
    PointingGame,
)

TABLE = PrototypeTable.regular(2, 1, 2)
PART_CLASS = (0, 0, 1)
IMAGES = 5


def measure(chosen: Sequence[int]) -> dict[str, PerImageMetric | MeanIoU]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (IMAGES, 6, 6), generator=generator)
    predicted = torch.randint(2, (IMAGES, 6, 6), generator=generator)
    images = torch.rand(IMAGES, 4, 6, 6, generator=generator)
    attribution = torch.rand(IMAGES, 6, 6, generator=generator)

    def score(batch: Tensor) -> Tensor:
        return batch[:, 0, 2:4, 2:4].mean((1, 2))

    pointing, consistency = PointingGame(), PartConsistency(TABLE, PART_CLASS)
    stability, deletion, iou = PartStability(TABLE, PART_CLASS), DeletionInsertion(), MeanIoU(2)
    for i in chosen:
        one = slice(i, i + 1)
        parts = labels[one] + 1
        pointing.update(attribution[one], labels[one] == 1, i)
        consistency.update(images[one], labels[one], parts, i)
        stability.update(lambda x: x, images[one], labels[one], parts, i)
        deletion.update(score, images[i, :3], attribution[i], i)
        iou.update(predicted[one], labels[one], i)
    return {
        "pointing": pointing,
        "consistency": consistency,
        "stability": stability,
        "deletion": deletion,
        "iou": iou,
    }


def figures(metrics: dict[str, PerImageMetric | MeanIoU]) -> dict[str, object]:
    found = {
        name: {figure: tuple(e) for figure, e in metric.estimates().items()}
        for name, metric in metrics.items()
        if isinstance(metric, PerImageMetric)
    }
    iou = metrics["iou"]
    assert isinstance(iou, MeanIoU)
    return {**found, "iou": (float(iou.compute()), tuple(iou.interval()))}


def measure_a_share(rank: int, shares: Sequence[Sequence[int]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=len(shares)
    )
    try:
        with pytest.raises(ValueError, match="several processes"):
            PointingGame().update(torch.rand(1, 2, 2), torch.ones(1, 2, 2).bool())
        found = measure(shares[rank])
        everything = figures(found)
        pointing = found["pointing"]
        assert isinstance(pointing, PerImageMetric)
        assert len(pointing.per_image()[0]) == IMAGES
        # Gathering leaves a process with its own share.
        assert sum(map(len, pointing.rows)) == len(shares[rank])
        assert float(pointing.compute()) == everything["pointing"]["pointing_game"][0]
    finally:
        torch.distributed.destroy_process_group()
    torch.save(everything, folder / f"{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[[0, 4, 2], [3, 1, 4]], [[4, 3, 2, 1, 0], []]])
def test_two_processes_measure_what_one_does(shares: list[list[int]], tmp_path: Path) -> None:
    alone = figures(measure(range(IMAGES)))
    torch.multiprocessing.spawn(measure_a_share, (shares, tmp_path), nprocs=2)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == alone
