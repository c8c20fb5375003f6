import json
import math
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.image import imread
from torch import Tensor, nn

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.data import Shapes
from protoxai.training import Recipe, RecipeError, RunResult, Scores, run
from protoxai.training.feeding.loaders import evaluation_loader
from protoxai.training.results import Row, write_metrics
from tests.training.cases import micro, write

STEPS = ["joint training", "projection", "grouping", "threshold"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe.load(write(micro(), tmp_path_factory.mktemp("recipe")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "deep" / "output"


@pytest.fixture(scope="module")
def logged() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(recipe: Recipe, folder: Path, logged: list[str]) -> RunResult:
    """The micro recipe, run from beginning to end."""
    return run(recipe, folder, log=logged.append, progress=False)


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[..., RunResult]:
    """`run_with(change)` runs the micro recipe with that change."""

    def start(change: Callable[[dict[str, Any]], object]) -> RunResult:
        keys = micro()
        change(keys)
        loaded = Recipe.load(write(keys, tmp_path))
        return run(loaded, tmp_path / "run", log=lambda _: None, progress=False)

    return start


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_every_step_is_scored_in_order(result: RunResult, logged: list[str]) -> None:
    assert [row.step for row in result.rows] == STEPS
    lines = [line for line in logged if "mIoU" in line]
    assert [line.partition(":")[0] for line in lines] == STEPS
    for row, line in zip(result.rows, lines, strict=True):
        assert 0 <= row.scores.mean_iou <= 1
        assert row.seconds >= 0
        assert f"mIoU {100 * row.scores.mean_iou:.1f}" in line
        counts = (row.scores.active_prototypes, row.scores.prototypes)
        assert "{} of {} prototypes".format(*counts) in line


def test_intervals_are_over_the_groups_of_the_data_set(
    run_with: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shapes, "group", lambda self, index: index // 4)
    result = run_with(lambda keys: keys.update(stages=keys["stages"][-1:], loggers=[]))
    scores = result.rows[-1].scores
    assert (scores.images, scores.groups, scores.interval) == (8, 2, None)


def test_the_model_went_through_every_step(result: RunResult) -> None:
    model = result.model
    assert isinstance(model, ScaleProtoSeg)
    assert model.grouped
    assert model.class_names == result.splits.train.class_names
    assert len(model.provenance) == len(model.table) <= 2 * 2 * 9
    sources = {entry.image_index for entry in model.provenance if entry.projected}
    assert sources <= set(range(8))
    assert len(sources) > 1
    group_weights = model.head.group_weights()
    assert ((group_weights == 0) | (group_weights >= 0.1)).all()
    first, last = result.rows[1].scores, result.rows[-1].scores
    assert first.prototypes == last.prototypes == len(model.table)
    assert last.active_prototypes == int((group_weights > 0).any(0).sum())


def test_pictures_are_kept_unless_the_recipe_says_otherwise(
    result: RunResult, folder: Path, run_with: Callable[..., RunResult], tmp_path: Path
) -> None:
    pictures = sum(entry.projected for entry in result.model.provenance)
    assert len(list(folder.glob("model/prototypes/*.webp"))) == pictures > 0
    private = run_with(lambda keys: keys["data"].update(keep_patches=False))
    assert all(prototype.patch is None for prototype in private.model.prototypes)
    assert not list((tmp_path / "run").rglob("*.webp"))


def test_prototypes_are_the_embeddings_of_their_patches(recipe: Recipe, result: RunResult) -> None:
    # Projection follows all training of the trunk, so the patches still have their embeddings.
    model = result.model
    images = evaluation_loader(result.splits.train, recipe.data, model).dataset
    scales = model.table.scale_index.tolist()
    for prototype, (entry, scale) in enumerate(zip(model.provenance, scales, strict=True)):
        if not entry.projected:
            continue
        with torch.no_grad():
            embedding = model.embed(images[entry.image_index]["image"][None])[0]
        torch.testing.assert_close(
            embedding[scale, :, entry.row, entry.col],
            model.prototype_layer.prototypes[prototype],
            rtol=1e-4,
            atol=1e-5,
        )


def test_metrics_are_written(result: RunResult, folder: Path) -> None:
    def no_number(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    text = (folder / "metrics.json").read_text()
    content = json.loads(text, parse_constant=no_number)["micro"]
    assert content["class_names"] == list(result.splits.train.class_names)
    assert [step["step"] for step in content["steps"]] == STEPS
    for step, row in zip(content["steps"], result.rows, strict=True):
        assert step["mean_iou"] == row.scores.mean_iou
        assert step["active_prototypes"] == row.scores.active_prototypes
        assert len(step["per_class"]) == 9


def test_the_model_folder_holds_the_model(result: RunResult, folder: Path) -> None:
    loaded = ScaleProtoSeg.from_pretrained(folder / "model")
    assert weights(loaded).keys() == weights(result.model).keys()
    for name, value in weights(result.model).items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert loaded.table == result.model.table
    assert loaded.provenance == result.model.provenance
    loaded.to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded(image).logits, result.model(image).logits)


def test_undefined_scores_are_null(result: RunResult, tmp_path: Path) -> None:
    scores = Scores(0.5, 0.5, (0.5, math.nan), 0, 0)
    undefined = RunResult(result.recipe, result.model, result.splits, [Row("a", scores, 0.0)])
    write_metrics(tmp_path / "metrics.json", [undefined])
    assert "NaN" not in (tmp_path / "metrics.json").read_text()
    (step,) = json.loads((tmp_path / "metrics.json").read_text())["micro"]["steps"]
    assert step["per_class"] == [0.5, None]


def test_losses_are_logged(result: RunResult, folder: Path) -> None:
    (file,) = (folder / "logs").rglob("metrics.csv")
    names = {"train/loss", "train/cross_entropy", "train/prototype_diversity"}
    assert names | {"train/group_entropy"} <= set(file.read_text().splitlines()[0].split(","))


def test_the_folder_records_what_was_run(recipe: Recipe, result: RunResult, folder: Path) -> None:
    again = Recipe.load(folder / "recipe.yaml")
    assert again == recipe
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 7
    assert environment["libraries"]["torch"] == metadata.version("torch")
    log = [line for line in (folder / "log.txt").read_text().splitlines() if "mIoU" in line]
    assert [line.split(" ", 2)[2].partition(":")[0] for line in log] == STEPS
    pictures = sorted((folder / "samples").iterdir())
    assert [file.stem[3:].replace("-", " ") for file in pictures] == STEPS
    assert all(imread(file).std() > 0.05 for file in pictures)


def test_a_seed_gives_the_same_weights_bit_by_bit(
    recipe: Recipe, result: RunResult, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    again = run(recipe, tmp_path, log=lambda _: None, progress=False)
    ours, theirs = weights(result.model), weights(again.model)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert again.model.provenance == result.model.provenance
    assert [row.scores.mean_iou for row in again.rows] == [
        row.scores.mean_iou for row in result.rows
    ]


def test_another_seed_gives_another_model(result: RunResult, run_with) -> None:
    def fewer(keys: dict[str, Any]) -> None:
        keys.update(seed=8, stages=keys["stages"][:1])

    other = run_with(fewer)
    ours = weights(result.model)
    name = next(name for name in ours if name.startswith("backbone") and "weight" in name)
    assert not torch.equal(ours[name], weights(other.model)[name])


def test_the_trunk_stands_still_in_the_second_stage(run_with, monkeypatch) -> None:
    recorded = []
    group = ScaleProtoSeg.group

    def watched(model: ScaleProtoSeg, num_groups: int) -> ScaleProtoSeg:
        recorded.append(weights(model))
        return group(model, num_groups)

    monkeypatch.setattr(ScaleProtoSeg, "group", watched)
    result = run_with(lambda keys: keys["stages"][1].update(cached_views=0))
    # The head is another one, and the state names the structure.
    left_out = ("head.", "_extra_state")
    before = {name: value for name, value in recorded[-1].items() if not name.startswith(left_out)}
    after = weights(result.model)
    assert {name for name, value in before.items() if not torch.equal(value, after[name])} == set()


def test_the_baseline_and_protoseg(recipe: Recipe, result: RunResult, tmp_path: Path) -> None:
    baseline = run(
        recipe.as_baseline(),
        tmp_path / "a",
        log=lambda _: None,
        progress=False,
        splits=result.splits,
    )
    assert isinstance(baseline.model, LinearSegmenter)
    assert [row.step for row in baseline.rows] == ["joint training"]
    assert baseline.rows[0].scores.prototypes == 0
    assert baseline.splits is result.splits
    LinearSegmenter.from_pretrained(tmp_path / "a" / "model")

    protoseg = run(recipe.as_protoseg(3), tmp_path / "b", log=lambda _: None, progress=False)
    assert [row.step for row in protoseg.rows] == ["joint training", "projection"]
    assert protoseg.model.table.num_scales == 1
    assert protoseg.rows[0].scores.prototypes == 3 * 9


def test_more_of_the_recipe_reaches_the_model(run_with) -> None:
    def change(keys: dict[str, Any]) -> None:
        keys["model"].update(input_scales=[0.5], freeze_batchnorm=True, bounded_prototypes=False)
        keys["stages"] = keys["stages"][:1]
        keys["stages"][0].update(accumulate_grad_batches=2, after=[], before=[], batch_size=1)

    model = run_with(change).model
    assert model.input_scales == (0.5,)
    assert model.freeze_batchnorm
    assert not model.prototype_layer.bounded
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.03}
    assert {int(norm.num_batches_tracked) for norm in norms} == {0}


@pytest.mark.filterwarnings("ignore:no pixel has class")
def test_fewer_views_than_a_batch(run_with) -> None:
    def change(keys: dict[str, Any]) -> None:
        keys["data"].update(options={"size": 64, "length": 3}, batch_size=4)

    assert [row.step for row in run_with(change).rows] == STEPS


@pytest.mark.parametrize("action", ["initialise", "project", "prune", "group", "threshold"])
def test_actions_of_prototypes_on_a_black_box(run_with, action: str) -> None:
    def change(keys: dict[str, Any]) -> None:
        keys["model"].update(architecture="LinearSegmenter", scales="atrous-sum")
        keys["stages"] = keys["stages"][:1]
        del keys["stages"][0]["learning_rates"]["prototypes"]
        keys["stages"][0].update(before=[], after=[], losses={"cross_entropy": 1.0})
        keys["stages"][0]["before"] = [action]

    with pytest.raises(
        RecipeError, match=rf"{action} needs prototypes.*a LinearSegmenter.*remove it"
    ):
        run_with(change)


def test_a_threshold_before_there_are_groups(run_with) -> None:
    def change(keys: dict[str, Any]) -> None:
        keys["stages"] = keys["stages"][:1]
        keys["stages"][0]["after"] = ["threshold"]

    with pytest.raises(RecipeError, match=r"stage joint training: threshold needs groups"):
        run_with(change)


@pytest.mark.filterwarnings("ignore:pruning leaves no prototype", "ignore:no pixel has class")
def test_prototypes_are_pruned_after_the_projection(run_with) -> None:
    def change(keys: dict[str, Any]) -> None:
        keys["stages"][0]["after"] = ["project", "prune"]

    rows = run_with(change).rows
    assert [row.step for row in rows] == [*STEPS[:2], "pruning", *STEPS[2:]]


@pytest.mark.parametrize(
    ("stage", "actions", "message"),
    [
        (0, ["prune"], "joint training: prune needs projected prototypes: project first"),
        (0, ["prune", "project"], "joint training: prune needs projected prototypes"),
        (1, ["prune"], "grouping: prune is for stage 1: put it before group"),
    ],
)
def test_prune_follows_the_projection(run_with, stage: int, actions: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run_with(lambda keys: keys["stages"][stage].update(after=actions))


def test_groups_that_were_never_made(run_with) -> None:
    with pytest.raises(RecipeError, match=r"stage grouping: groups needs groups: put group into"):
        run_with(lambda keys: keys["stages"][1].update(before=[]))


def test_progress_is_shown_when_asked_for(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe.as_baseline(), tmp_path, progress=True)
    assert "joint training: mIoU" in capsys.readouterr().out
