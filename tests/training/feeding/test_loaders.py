from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from protoxai.data import Shapes
from protoxai.training import DataRecipe
from protoxai.training.feeding.loaders import (
    Splits,
    class_weights,
    evaluation_loader,
    evaluation_view,
    training_loader,
    training_view,
)
from tests.training.cases import Halves

RECIPE = DataRecipe(dataset="shapes", options={"size": 64, "length": 5}, crop=(24, 40))
MODEL = SimpleNamespace(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


def test_splits_of_a_recipe() -> None:
    splits = Splits.of(RECIPE)
    assert isinstance(splits.train, Shapes)
    assert (splits.train.split, splits.validation.split) == ("train", "val")
    assert (len(splits.train), splits.train.size) == (5, (64, 64))


def test_each_split_can_be_named() -> None:
    assert Splits.of(RECIPE).projection.split == "train"
    swapped = replace(RECIPE, train_split="val", projection_split="train", validation_split="train")
    splits = Splits.of(swapped)
    names = (splits.train.split, splits.projection.split, splits.validation.split)
    assert names == ("val", "train", "train")


def test_the_root_is_an_option_like_others(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"train|images"):
        Splits.of(replace(RECIPE, dataset="camvid", root=str(tmp_path), options={}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "shape"}, r"no data set 'shape' \(did you mean 'shapes'\?\)"),
        ({"options": {"sise": 64}}, r"data set 'shapes'.*did you mean 'size'"),
        ({"root": "/data"}, r"data set 'shapes'.*'root'"),
    ],
)
def test_what_the_data_set_does_not_have(changes, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Splits.of(replace(RECIPE, **changes))


def test_training_views_are_crops_normalised_as_the_model_wants() -> None:
    plain = replace(RECIPE, scale_range=(1.0, 1.0), flip=0.0, crop=(32, 48))
    view = training_view(Halves(), plain, MODEL)
    image = view[3]["image"]
    assert image.shape == (3, 32, 48)
    assert view[3]["labels"].shape == (32, 48)
    for channel, (mean, std) in enumerate(zip(MODEL.mean, MODEL.std, strict=True)):
        assert float(image[channel, 5, 5]) == pytest.approx((13 / 255 - mean) / std, abs=1e-5)


def test_every_choice_of_the_recipe_reaches_the_view() -> None:
    data = Halves(size=(64, 96))
    far = replace(RECIPE, scale_range=(0.25, 0.25), flip=0.0, crop=(64, 96))
    labels = training_view(data, far, MODEL)[0]["labels"]
    assert (labels[16:] == 255).all()  # padded
    assert (labels[:, 24:] == 255).all()
    filling = replace(far, scale_range=(1.0, 1.0), scale_relative_to="crop", crop=(16, 24))
    labels = training_view(data, filling, MODEL)[0]["labels"]
    assert labels[8].tolist() == [0] * 12 + [1] * 12
    flipped = replace(far, scale_range=(1.0, 1.0), flip=1.0)
    labels = training_view(data, flipped, MODEL)[0]["labels"]
    assert (labels[8, 0], labels[8, -1]) == (1, 0)
    plain = replace(far, scale_range=(1.0, 1.0))
    bright, jittered = (
        training_view(data, replace(plain, color_jitter=strength), MODEL)[0]["image"]
        for strength in (0.0, 0.9)
    )
    assert not torch.equal(bright, jittered)


def test_antialiasing_reaches_both_views() -> None:
    class Stripes(Halves):
        def raw(self, index: int):
            sample = super().raw(index)
            sample.image[:, :, ::4] = 255
            return sample

    third = replace(RECIPE, scale_range=(0.34, 0.34), flip=0.0, crop=(8, 8), evaluation_size=8)
    for view in (training_view, evaluation_view):
        smooth, plain = (
            view(Stripes(), replace(third, antialias=antialias), MODEL)[0]["image"]
            for antialias in (True, False)
        )
        assert plain.shape == smooth.shape
        assert plain.std() > 1.2 * smooth.std()


def test_log_uniform_scale_is_as_often_below_as_above_1() -> None:
    wide = replace(
        RECIPE, scale_range=(1 / 16, 16.0), log_uniform_scale=True, flip=0.0, crop=(32, 48)
    )
    shares = []
    for log_uniform in (True, False):
        view = training_view(Halves(), replace(wide, log_uniform_scale=log_uniform), MODEL)
        smaller = [bool((view[0]["labels"][-1] == 255).all()) for _ in range(60)]
        shares.append(sum(smaller) / 60)
    assert 0.3 < shares[0] < 0.7
    assert shares[1] < 0.25


def loaded(length: int, batches: int, batch_size: int, seed: int = 0, **options: int) -> list:
    view = training_view(Halves(length=length), RECIPE, MODEL)
    return list(training_loader(view, batches, batch_size, seed=seed, **options))


def test_batches_go_over_the_data_evenly() -> None:
    batches = loaded(5, 10, 2)
    assert len(batches) == 10
    counts = Counter(int(i) for batch in batches for i in batch["index"])
    assert counts == dict.fromkeys(range(5), 4)
    assert batches[0]["image"].shape == (2, 3, 24, 40)


def test_the_seed_alone_decides_order_and_augmentation() -> None:
    torch.manual_seed(1)
    first = loaded(5, 3, 2)
    torch.manual_seed(2)
    same, other = loaded(5, 3, 2), loaded(5, 3, 2, seed=1)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))
    # A single image has one order only, so what differs is its crop.
    (one,), (another,) = loaded(1, 1, 3), loaded(1, 1, 3, seed=1)
    assert not torch.equal(one["image"], another["image"])


def test_a_later_start_leaves_out_what_came_before() -> None:
    complete, rest = loaded(5, 6, 2), loaded(5, 6, 2, start=4)
    assert len(rest) == 2
    for left, right in zip(complete[4:], rest, strict=True):
        assert torch.equal(left["image"], right["image"])


def test_a_batch_larger_than_the_data() -> None:
    assert [len(batch["index"]) for batch in loaded(2, 2, 5)] == [5, 5]


# Python 3.12 warns of forks of processes with threads, which is how torch's workers start.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_change_nothing() -> None:
    alone, helped = loaded(5, 4, 2), loaded(5, 4, 2, workers=1)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(alone, helped, strict=True))


def test_whole_images_come_once_in_order_with_labels_as_they_are() -> None:
    recipe = replace(RECIPE, evaluation_size=(16, 20), evaluation_batch_size=4)
    batches = list(evaluation_loader(Halves(), recipe, MODEL))
    assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5]]
    assert [batch["id"] for batch in batches][1] == ["half-4", "half-5"]
    assert batches[0]["image"].shape == (4, 3, 16, 20)
    assert batches[0]["labels"].shape == (4, 32, 48)
    native = next(iter(evaluation_loader(Halves(), RECIPE, MODEL)))
    assert native["image"].shape == (1, 3, 32, 48)
    assert float(native["image"][0, 0, 5, 5]) == pytest.approx((10 / 255 - 0.1) / 0.5, abs=1e-5)


def test_class_weights_balance_by_a_power_of_the_frequency() -> None:
    class Uneven(Halves):
        def raw(self, index: int):
            sample = super().raw(index)
            sample.labels[1:] = 0
            sample.labels[1:, :12] = 1  # a quarter
            return sample

    assert class_weights(Uneven(), RECIPE) is None
    weights = class_weights(Uneven(), replace(RECIPE, class_balance=0.5))
    expected = torch.tensor([0.75, 0.25], dtype=torch.float64) ** -0.5
    torch.testing.assert_close(weights, expected / expected.mean())
    full = class_weights(Uneven(), replace(RECIPE, class_balance=1.0))
    assert float(full[1] / full[0]) == pytest.approx(3)


def test_a_class_that_never_occurs_has_a_finite_weight() -> None:
    class Dark(Halves):
        def raw(self, index: int):
            sample = super().raw(index)
            sample.labels[sample.labels == 1] = 0
            return sample

    weights = class_weights(Dark(), replace(RECIPE, class_balance=0.5))
    assert weights.isfinite().all()
    assert float(weights[1] / weights[0]) == pytest.approx(100)
