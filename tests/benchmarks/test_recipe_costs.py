"""The costs of the recipes: counts by hand, the real memory, and the page."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.experiments import recipe_costs
from benchmarks.experiments.measured_memory import measured_memory
from benchmarks.experiments.pages import with_block
from benchmarks.experiments.published_data import DATA, DataFacts
from benchmarks.experiments.records import RESULTS as RUNS
from benchmarks.experiments.training_cost import (
    batch_cost,
    build,
    cost_of,
    counting,
    image_operations,
    image_sizes,
    run_folder_bytes,
    size_in_bytes,
    validations,
)
from protoxai import LinearSegmenter
from protoxai.data import Shapes
from protoxai.training import Recipe, run
from protoxai.training.run_folder.run_record import plain_recipe
from protoxai.training.stages.stage import _steps_between_validations
from tests.training.cases import micro, stage, write

META = torch.device("meta")


def convolution(pixels, out_channels, in_channels, kernel):
    """Operations of a convolution: a product and a sum for each weight and output pixel."""
    return 2 * pixels * out_channels * in_channels * kernel**2


def linear_model():
    """A depthwise and a plain convolution, and two branches of 3x3 to two classes."""
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1, groups=3), nn.ReLU(), nn.Conv2d(6, 8, 1))
    model = LinearSegmenter(trunk, 2, scales="atrous", atrous_rates=(1, 2))
    return model.to(META)


# Of 2 images of 16 x 24, on 4 x 6 pixels; a depthwise filter sees one channel.
PIXELS = 2 * 4 * 6
FIRST = convolution(PIXELS, 6, 1, 3)
SECOND = convolution(PIXELS, 8, 6, 1)
BRANCHES = 2 * convolution(PIXELS, 2, 8, 3)


def test_operations_of_a_small_network_are_those_counted_by_hand():
    model, forward = linear_model(), FIRST + SECOND + BRANCHES
    assert image_operations(model, (16, 24)) * 2 == forward
    joint = stage(learning_rates={"backbone": 1e-3, "scales": 1e-3})
    operations, _ = batch_cost(model, joint, 2, (16, 24))
    # The images themselves get no gradient.
    assert operations == 3 * forward - FIRST
    frozen = stage(learning_rates={"scales": 1e-3})
    operations, _ = batch_cost(model, frozen, 2, (16, 24))
    assert operations == forward + BRANCHES


def test_operations_of_gradients_of_grouped_and_transposed_convolutions():
    for layer, forward in (
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), convolution(20, 6, 1, 3)),
        (nn.ConvTranspose2d(6, 4, 3, padding=1), convolution(20, 4, 6, 3)),
    ):
        images = torch.empty(1, 6, 4, 5, device=META, requires_grad=True)
        with counting() as counter:
            layer.to(META)(images).sum().backward()
        assert counter.get_total_flops() == 3 * forward


def test_kept_bytes_of_a_small_network():
    model = linear_model()
    _, kept = batch_cost(
        model, stage(learning_rates={"backbone": 1e-3, "scales": 1e-3}), 2, (16, 24)
    )
    # The images, the rectified maps and those of the trunk; each branch keeps the same ones.
    assert kept == 4 * (2 * 3 * 16 * 24 + PIXELS * 6 + PIXELS * 8)
    _, kept = batch_cost(model, stage(learning_rates={"scales": 1e-3}), 2, (16, 24))
    assert kept == 4 * PIXELS * 8


@pytest.mark.parametrize(
    ("validate", "accumulated", "images"), [("epoch", 5, 10_582), ("epoch", 5, 3), (2000, 4, 90)]
)
def test_as_many_validations_as_a_run_has(validate, accumulated, images):
    own = stage(validate=validate, accumulate_grad_batches=accumulated, steps=30_000)
    run = SimpleNamespace(
        stage=own,
        recipe=SimpleNamespace(data=SimpleNamespace(batch_size=2)),
        splits=SimpleNamespace(train=range(images)),
    )
    assert validations(own, images, 2) == 30_000 // _steps_between_validations(run)
    assert validations(stage(), images, 2) == 0


def test_sizes_of_images():
    loaded = recipe_costs.recipes()
    sizes = {name: image_sizes(loaded[name], DATA[loaded[name].data.dataset]) for name in loaded}
    assert sizes["pascal_voc"] == ((513, 513), (375, 500))
    assert sizes["cityscapes"] == ((1024, 2048), (1024, 2048))
    assert sizes["ade20k"] == ((512, 683), (512, 683))
    assert sizes["camvid"] == ((180, 240), (180, 240))


def facts(length=8):
    shapes, images = DATA["shapes"], {"train": length, "val": length}
    return DataFacts(**{**vars(shapes), "images": images, "size": (64, 64)})


@pytest.mark.slow
def test_a_run_is_the_sum_of_its_parts(tmp_path):
    keys = micro()
    recipe = Recipe.load(write(keys, tmp_path))
    cost = cost_of(recipe, facts())
    trunk, head = recipe.stages
    # Each stage is evaluated twice, on 8 images; 32 are for k-means, and 8 for the projection.
    assert cost.validation == pytest.approx(4 * 8 / (8 + 32) * cost.projection, rel=0.05)
    more = cost_of(replace(recipe, stages=[replace(trunk, steps=4), head]), facts())
    once = cost_of(replace(recipe, stages=[replace(trunk, steps=3), head]), facts())
    assert more.training - once.training == (once.training - cost.training) > 0
    # Without the cache each of 3 steps embeds 2 images; with it, 8 images are embedded once.
    uncached = cost_of(replace(recipe, stages=[trunk, replace(head, cached_views=0)]), facts())
    difference = cost.training - uncached.training
    assert difference == pytest.approx((8 - 3 * 2) / 8 * cost.validation / 4, rel=0.05)
    longer = cost_of(recipe, facts(16))
    assert longer.validation == 2 * cost.validation
    assert cost.operations == cost.training + cost.validation + cost.projection
    with_baseline = recipe_costs.recipe_cost(replace(recipe, baseline=True), facts())
    assert with_baseline["training"] > cost.training
    assert with_baseline["memory"] == cost.memory


def test_memory_is_that_of_a_real_step(tmp_path):
    keys = micro()
    keys["data"] |= {"crop": [128, 128], "batch_size": 4}
    recipe = Recipe.load(write(keys, tmp_path))
    counted = cost_of(recipe, facts()).memory
    assert measured_memory(recipe, 9) == pytest.approx(counted, rel=0.15)


def test_run_folder_of_two_stages():
    # Three checkpoints within a stage while the third is written, beside the ends before.
    assert run_folder_bytes([(10, 30), (11, 15)]) == 3 * 30
    assert run_folder_bytes([(10, 12), (11, 25)]) == 10 + 3 * 25
    # The ends of both, the newest within the last, that of a further stage, and the model.
    assert run_folder_bytes([(10, 10), (10, 10)]) == 50


@pytest.mark.slow
def test_run_folder_holds_as_much_as_was_counted(tmp_path):
    keys = micro()
    keys["model"] |= {"backbone": "timm/resnet10t", "feature_levels": [3]}
    recipe = Recipe.load(write(keys, tmp_path))
    run(recipe, tmp_path / "run", log=lambda _: None, progress=False, check=False)
    files = [*(tmp_path / "run/checkpoints").iterdir(), *(tmp_path / "run/model").iterdir()]
    weights = size_in_bytes(build(recipe, 9))
    # The head, which the last stage trains, is a small part of the weights.
    expected = run_folder_bytes([(weights, weights)] * 2)
    assert sum(file.stat().st_size for file in files) == pytest.approx(expected, rel=0.05)


def test_facts_are_those_of_the_data_sets():
    recipe = recipe_costs.recipes()["shapes"]
    shapes = Shapes(**recipe.data.options)
    own = DATA["shapes"]
    assert (own.num_classes, own.size) == (shapes.num_classes, shapes.size)
    assert set(own.images.values()) == {len(shapes)}


def test_every_recipe_is_on_the_page_as_counted():
    results = json.loads(recipe_costs.RESULTS.read_text(encoding="utf-8"))
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in RUNS.glob("camvid-*.json")]
    text = recipe_costs.PAGE.read_text(encoding="utf-8")
    assert with_block(text, "recipes", recipe_costs.page(results, runs)) == text, (
        "run python benchmarks/experiments/recipe_costs.py --page"
    )
    loaded = recipe_costs.recipes()
    assert list(results["recipes"]) == list(loaded), (
        "run python benchmarks/experiments/recipe_costs.py"
    )
    for name, recipe in loaded.items():
        assert f"| `{name}` |" in text
        assert f"- `{name}`: {recipe.method}" in text
        assert recipe.target in " ".join(text.split())
        root = recipe_costs.shipped_recipes()[name].read_text(encoding="utf-8")
        if "root: " in root:
            assert f"root: $PROTOXAI_{recipe.data.dataset.upper()}" in root


def test_times_are_the_mean_of_the_runs_of_a_recipe_as_it_is():
    recipe = recipe_costs.recipes()["camvid_protoseg"]

    def run(seconds, threads=1, method="ProtoSeg", **changes):
        values = plain_recipe(replace(recipe, **changes))
        return {"method": method, "seconds": seconds, "threads": threads, "recipe": values}

    def measured(*runs, name="camvid_protoseg", recipe=recipe):
        return recipe_costs.measured_time(name, recipe, runs)

    own = [run(600.0, seed=1), run(1200.0, seed=2)]
    assert measured(*own) == "; measured 15 min (n = 2, 1 thread)"
    other = replace(recipe.stages[0], steps=7)
    others = [run(None), run(9.0, stages=[other, *recipe.stages[1:]]), run(9.0, method="DeepLabv2")]
    assert measured(*own, *others) == measured(*own)
    assert measured(*others) == ""
    assert measured(*own, run(9000.0, 2)) == "; measured 1.0 h (n = 3, 1 or 2 threads)"
    with_baseline = replace(recipe, baseline=True)
    assert measured(*own, recipe=with_baseline).endswith("(n = 2, 1 thread, without its baseline)")


def test_the_stored_counts_are_those_of_a_small_recipe():
    results = json.loads(recipe_costs.RESULTS.read_text(encoding="utf-8"))
    recipe = recipe_costs.recipes()["camvid_deeplabv2"]
    expected = results["recipes"]["camvid_deeplabv2"]
    assert recipe_costs.recipe_cost(recipe, DATA["camvid"]) == expected
