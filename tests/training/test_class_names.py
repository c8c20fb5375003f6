"""Class names, order included, of models, data and runs."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import nn

from protoxai import LinearSegmenter
from protoxai.comparison import explainers_of
from protoxai.data import Shapes
from protoxai.training import Recipe, RecipeError, RunError, evaluate_model, run
from protoxai.training.class_names import check_classes_fit, check_same_classes, check_splits_fit
from protoxai.training.feeding.loaders import Splits
from tests.training.cases import Halves, micro, write


def halves(names: Sequence[str]) -> Halves:
    data = Halves()
    data.class_names = tuple(names)
    return data


def named(names: Sequence[str] | None, num_classes: int = 2) -> LinearSegmenter:
    return LinearSegmenter(nn.Conv2d(3, 4, 8, stride=8), num_classes, class_names=names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("bright", "dark"), "classes in another order .class 0 is 'bright' and 'dark'"),
        (("dark", "light"), "other classes .class 1 is 'light' and 'bright'"),
        (("dark", "Bright"), "other classes"),
    ],
)
def test_names_of_model_and_data(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=rf"the model and Halves have .*{message}"):
        check_classes_fit(named(names), halves(("dark", "bright")))


def test_equal_or_unknown_names_fit() -> None:
    check_classes_fit(named(("dark", "bright")), Halves())
    check_classes_fit(named(None), Halves())
    with pytest.raises(RecipeError, match="Halves has 2 classes, the model 3"):
        check_classes_fit(named(None, 3), Halves())


def test_other_names_for_the_same_classes_can_be_set() -> None:
    model = named(("night", "day"))
    model.class_names = ["dark", "bright"]
    check_classes_fit(model, Halves())
    assert model.class_names == ("dark", "bright")
    with pytest.raises(ValueError, match="got 1 class_names, expected 2"):
        model.class_names = ("dark",)


def test_evaluation_compares_the_names(tmp_path: Path) -> None:
    names = Shapes(length=2, size=32).class_names
    model = LinearSegmenter(
        "timm/test_resnet", len(names), pretrained=False, class_names=names[::-1]
    )
    model.save_pretrained(tmp_path / "model")
    keys = {"data.dataset": "shapes", "data.options": {"length": 2, "size": 32}}
    with pytest.raises(RecipeError, match="the model and Shapes have the classes in another order"):
        evaluate_model(tmp_path / "model", keys)


def test_splits_of_a_run() -> None:
    data, other = Halves(), halves(("bright", "dark"))
    check_splits_fit(Splits(data, data, data))
    with pytest.raises(RecipeError, match="the training split and the projection split have"):
        check_splits_fit(Splits(data, other, data))
    with pytest.raises(RecipeError, match="the training split and the validation split have"):
        check_splits_fit(Splits(data, data, other))


def test_a_model_of_other_classes_is_not_trained(tmp_path: Path) -> None:
    data = Halves()
    with pytest.raises(RecipeError, match="classes in another order"):
        run(
            Recipe.load(write(micro(), tmp_path)),
            tmp_path / "run",
            splits=Splits(data, data, data),
            model=named(("bright", "dark")),
            progress=False,
        )


def test_a_run_continues_on_its_classes() -> None:
    check_same_classes({"class_names": ["dark", "bright"]}, Halves())
    check_same_classes({}, Halves())
    with pytest.raises(RunError, match="the run and Halves have the classes in another order"):
        check_same_classes({"class_names": ["bright", "dark"]}, Halves())


def test_models_of_one_comparison() -> None:
    first, second = named(("dark", "bright")), named(("bright", "dark"))
    with pytest.raises(ValueError, match="the models have different classes"):
        explainers_of([first, second], ["Saliency"])
    assert len(explainers_of([first, first, named(None)], ["Saliency"], references=False)) == 3
