"""Two processes measure the same as one."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import protoxai.metrics as package
from protoxai import PrototypeTable
from protoxai.attribution import Cost
from protoxai.metrics import MeanIoU, ParameterRandomisation, PerImageMetric, PointingGame
from tests.toys import small_model

TABLE = PrototypeTable.regular(2, 1, 2)
PART_CLASS = (0, 0, 1)
LAYERS = (("2",), ("0",))
IMAGES = 6
PARTS = torch.eye(6, dtype=torch.bool)[:, None].expand(-1, 6, -1)


def video_of(index: int) -> str:
    """The group of an image; the images of the first are in different processes."""
    return "aabcde"[index]


def metrics() -> dict[str, PerImageMetric | MeanIoU]:
    """One of every kind over images."""
    kinds = [getattr(package, name) for name in package.__all__]
    kinds = [k for k in kinds if isinstance(k, type) and issubclass(k, PerImageMetric)]
    options = {
        "ActivationScaleDiversity": {"table": TABLE},
        "ParameterRandomisation": {"layers": LAYERS},
        "PrototypeMisalignment": {"steps": 1},
        "PartConsistency": {"table": TABLE, "part_class": PART_CLASS, "min_images": 2},
        "PartStability": {"table": TABLE, "part_class": PART_CLASS},
        "ScaleSpectrum": {"bands": 2},
    }
    made = {k.__name__: k(**options.get(k.__name__, {})) for k in kinds if k is not PerImageMetric}
    return {**made, "MeanIoU": MeanIoU(2)}


def score(batch: Tensor) -> Tensor:
    return batch[:, 0, 2:4, 2:4].square().mean((1, 2))


def measure(chosen: Sequence[int]) -> dict[str, PerImageMetric | MeanIoU]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (IMAGES, 6, 6), generator=generator)
    predicted = torch.randint(2, (IMAGES, 6, 6), generator=generator)
    activations = torch.rand(IMAGES, 4, 6, 6, generator=generator)
    maps = torch.rand(IMAGES, 6, 6, generator=generator)
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.Conv2d(2, 1, 1))

    prototypes = small_model(2)

    def explain(images: Tensor) -> Tensor:
        return model(images)[:, 0].detach()

    measured = metrics()
    for i in chosen:
        one = slice(i, i + 1)
        images, own, attribution = activations[one, :3], labels[one], maps[one]
        arguments = {
            "ActivationScaleDiversity": (activations[one], own),
            "ActiveUnits": (attribution.flatten(1) - 0.5,),
            "DeletionInsertion": (score, images[0], attribution[0]),
            "ExplanationCost": (Cost(i, 2 * i, i / 3, None),),
            "Faithfulness": (score, images[0], attribution[0], own[0] == 1),
            "PatchFaithfulness": (score, images[0], attribution[0], own[0] == 1),
            "Infidelity": (score, images, attribution),
            "MaxSensitivity": (explain, images),
            "MeanIoU": (predicted[one], own),
            "OffTargetLeakage": (attribution, own, torch.tensor([1])),
            "ParameterRandomisation": (model, explain, images),
            "PartConsistency": (activations[one], own, own + 1),
            "PartStability": (lambda x: x, activations[one], own, own + 1),
            "PartIntervention": (attribution, PARTS, own[0, 0].double()),
            "PointingGame": (attribution, own == 1),
            "PrototypeMisalignment": (prototypes, images[0], own[0] == 1, 1),
            "PerturbationAgreement": (score, images[0], attribution[0]),
            "RelevanceMass": (attribution, own == 1),
            "TargetSensitivity": (attribution, attribution.flip(1)),
        }
        for name, metric in measured.items():
            metric.update(*arguments.get(name, (attribution,)), index=i)
    return measured


def figures(measured: dict[str, PerImageMetric | MeanIoU]) -> dict[str, object]:
    """Every figure to the last bit, as text, in which NaN equals NaN."""
    texts: dict[str, object] = {}
    for name, metric in measured.items():
        if isinstance(metric, MeanIoU):
            intervals = [tuple(metric.interval(groups)) for groups in (None, video_of)]
            texts[name] = repr((float(metric.compute()), intervals))
        else:
            texts[name] = {f: repr(tuple(e)) for f, e in metric.estimates().items()}
            by_video = metric.estimates(video_of)
            texts[f"{name} by video"] = {f: repr(tuple(e)) for f, e in by_video.items()}
        if isinstance(metric, ParameterRandomisation):
            texts["per layer"] = repr(metric.per_layer())
    return texts


def measure_a_share(rank: int, shares: Sequence[Sequence[int]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=len(shares)
    )
    try:
        with pytest.raises(ValueError, match="several processes"):
            PointingGame().update(torch.rand(1, 2, 2), torch.ones(1, 2, 2).bool())
        measured = measure(shares[rank])
        everything = figures(measured)
        pointing = measured["PointingGame"]
        assert isinstance(pointing, PerImageMetric)
        assert len(pointing.per_image()[0]) == IMAGES
        # Gathering leaves a process with its own share.
        assert sum(map(len, pointing.rows)) == len(shares[rank])
        assert repr(tuple(pointing.compute())) == everything["PointingGame"]["pointing_game"]
    finally:
        torch.distributed.destroy_process_group()
    torch.save(everything, folder / f"{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[[0, 4, 2, 5], [3, 1, 4]], [[5, 4, 3, 2, 1, 0], []]])
def test_two_processes_measure_what_one_does(shares: list[list[int]], tmp_path: Path) -> None:
    alone = figures(measure(range(IMAGES)))
    assert len(alone) > 15
    # Figures that are undefined everywhere would be equal in any case.
    undefined = [name for name, value in alone.items() if repr(value).count("nan, nan, nan")]
    names = ("ActivationScaleDiversity", "ExplanationCost")
    assert sorted(undefined) == [f"{name}{by}" for name in names for by in ("", " by video")]
    differs = [name for name in alone if alone.get(f"{name} by video", alone[name]) != alone[name]]
    assert len(differs) > 12
    torch.multiprocessing.spawn(measure_a_share, (shares, tmp_path), nprocs=2)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == alone
