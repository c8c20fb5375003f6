from collections.abc import Callable
from typing import Any

import pytest

Change = Callable[[dict[str, Any]], object]


def rename(keys: dict[str, Any], old: str, new: str) -> None:
    keys[new] = keys.pop(old)


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        (lambda r: rename(r, "seed", "sede"), "sede", "seed"),
        (lambda r: r.update(basline=True), "basline", "baseline"),
        (lambda r: rename(r["data"], "crop", "corp"), "data.corp", "crop"),
        (lambda r: r["data"].update(class_balanse=1.0), "data.class_balanse", "class_balance"),
        (lambda r: r["model"].update(atrous_rate=[1]), "model.atrous_rate", "atrous_rates"),
        (
            lambda r: rename(r["stages"][1], "steps", "setps"),
            "stages[grouping].setps",
            "steps",
        ),
        (
            lambda r: rename(r["stages"][0], "learning_rates", "learning_rate"),
            "stages[joint training].learning_rate",
            "learning_rates",
        ),
        (
            lambda r: rename(r["stages"][1], "losses", "loses"),
            "stages[grouping].loses",
            "losses",
        ),
    ],
)
def test_an_unknown_key(error_of, change: Change, key: str, meant: str) -> None:
    message = error_of(change)
    assert message.startswith(f"there is no key {key} (did you mean '{meant}'")
    assert meant in message.partition("expected some of ")[2].split(", ")


def test_a_key_like_no_other_gets_no_suggestion(error_of) -> None:
    message = error_of(lambda r: r["data"].update(xyz=1))
    assert message.startswith("there is no key data.xyz; expected some of dataset, root, ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda r: r["data"].update(batch_size="many"),
            "data.batch_size is 'many', expected a whole number",
        ),
        (
            lambda r: r["data"].update(batch_size=[1, 2]),
            "data.batch_size is [1, 2], expected a whole number",
        ),
        (lambda r: r.update(seed=1.5), "seed is 1.5, expected a whole number"),
        (lambda r: r.update(seed=True), "seed is True, expected a whole number"),
        (lambda r: r.update(name=3), "name is 3, expected text"),
        (lambda r: r.update(baseline="maybe"), "baseline is 'maybe', expected true or false"),
        (lambda r: r["data"].update(flip="often"), "data.flip is 'often', expected a number"),
        (lambda r: r["data"].update(flip=True), "data.flip is True, expected a number"),
        (
            lambda r: r["data"].update(crop=64),
            "data.crop is 64, expected a list of 2, each a whole number",
        ),
        (
            lambda r: r["data"].update(crop=[1, 2, 3]),
            "data.crop is [1, 2, 3], expected a list of 2, each a whole number",
        ),
        (lambda r: r["data"].update(crop=[1, "b"]), "data.crop[1] is 'b', expected a whole number"),
        (
            lambda r: r["model"].update(init_gain="small"),
            "model.init_gain is 'small', expected a number above 0 and of at most 1000 or null",
        ),
        (
            lambda r: r["model"].update(pretrained=3),
            "model.pretrained is 3, expected true or false or text",
        ),
        (
            lambda r: r["model"].update(atrous_rates=6),
            "model.atrous_rates is 6, expected a list, each a whole number",
        ),
        (
            lambda r: r["model"].update(architecture="DeepLab"),
            "model.architecture is 'DeepLab', expected one of ScaleProtoSeg, LinearSegmenter",
        ),
        (
            lambda r: r["stages"][1].update(steps="many"),
            "stages[grouping].steps is 'many', expected a whole number",
        ),
        (
            lambda r: r["stages"][1].update(steps=[5]),
            "stages[grouping].steps is [5], expected a whole number",
        ),
        (
            lambda r: r["stages"][1]["learning_rates"].update(groups="fast"),
            "stages[grouping].learning_rates.groups is 'fast', expected a number",
        ),
        (
            lambda r: r["stages"][0].update(losses=None),
            "stages[joint training].losses is null, expected names, each with a number",
        ),
        (
            lambda r: r["stages"][0].update(before="initialise"),
            "stages[joint training].before is 'initialise', expected a list, each one of",
        ),
        (
            lambda r: r["stages"][0].update(after=["clip"]),
            "stages[joint training].after[0] is 'clip', expected one of initialise,",
        ),
        (lambda r: r["stages"].append(3), "stages[2] is 3, expected the keys name, steps, "),
        (lambda r: r.update(stages=r["stages"][0]), "stages is {"),
        (lambda r: r.update(data=3), "data is 3, expected the keys dataset, root, "),
    ],
)
def test_a_value_of_the_wrong_type(error_of, change: Change, expected: str) -> None:
    assert error_of(change).startswith(expected)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda r: r["stages"][1].pop("steps"), "stages[grouping].steps"),
        (lambda r: r["stages"][1].pop("name"), "stages[1].name"),
        (lambda r: r["data"].pop("crop"), "data.crop"),
        (lambda r: r.pop("model"), "model"),
    ],
)
def test_a_missing_key(error_of, change: Change, missing: str) -> None:
    assert error_of(change) == f"{missing} is missing: give it a value, it has no default"
