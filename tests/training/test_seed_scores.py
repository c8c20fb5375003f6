"""Means and standard deviations over seeds, against NumPy, and their tables."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoxai.runtime.files import to_json
from protoxai.training.seed_scores import SeedScores, Spread, conditions

SHARES = st.floats(0, 100, allow_nan=False)


def step(name, mean_iou, active=0, prototypes=0):
    return {
        "step": name,
        "mean_iou": mean_iou,
        "prototypes": prototypes,
        "active_prototypes": active,
    }


@given(st.lists(SHARES, min_size=2, max_size=9))
def test_mean_and_sample_deviation(values):
    spread = Spread(tuple(values))
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_what_has_no_deviation_or_mean():
    assert str(Spread((61.04,))) == "61.0"
    assert math.isnan(Spread((61.0,)).sd)
    assert str(Spread(())) == str(Spread((61.0, math.nan))) == "undefined"
    assert Spread((1.0, 3.0)).text(2) == "2.00 ± 1.41"


@pytest.fixture
def scores():
    scale = [
        [step("joint", 0.5, 12, 12), step("threshold", 0.25, 4, 12)],
        [step("joint", 0.52, 12, 12), step("threshold", None, 7, 12)],
    ]
    return SeedScores.of({"Scale_1": scale, "DeepLabv2": [[step("joint", 0.4)]] * 3})


def test_tables_give_the_number_of_seeds(scores):
    assert scores.to_text().splitlines() == [
        "model      after      mIoU        prototypes in use  seeds",
        "Scale_1    joint      51.0 ± 1.4  12 ± 0             2",
        "Scale_1    threshold  undefined   6 ± 2              2",
        "DeepLabv2  joint      40.0 ± 0.0                     3",
    ]
    assert scores.to_markdown().splitlines() == [
        "| model | after | mIoU | prototypes in use | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| Scale_1 | joint | 51.0 ± 1.4 | 12 ± 0 | 2 |",
        "| Scale_1 | threshold | undefined | 6 ± 2 | 2 |",
        "| DeepLabv2 | joint | 40.0 ± 0.0 |  | 3 |",
    ]
    assert scores.to_latex().splitlines() == [
        r"\begin{tabular}{llccc}",
        r"\toprule",
        r"model & after & mIoU & prototypes in use & seeds \\",
        r"\midrule",
        r"Scale\_1 & joint & 51.0 $\pm$ 1.4 & 12 $\pm$ 0 & 2 \\",
        r"Scale\_1 & threshold & undefined & 6 $\pm$ 2 & 2 \\",
        r"DeepLabv2 & joint & 40.0 $\pm$ 0.0 &  & 3 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_values_are_kept(scores):
    joint, threshold, plain = json.loads(to_json(scores.to_plain()))
    assert joint["mean_iou"] == {
        "mean": pytest.approx(51),
        "sd": pytest.approx(math.sqrt(2)),
        "n": 2,
        "values": [50.0, 52.0],
    }
    assert threshold["mean_iou"]["values"] == [25.0, None]
    assert threshold["active_prototypes"]["values"] == [4, 7]
    assert plain["active_prototypes"] is None


def test_runs_of_different_recipes_are_refused():
    runs = [[step("joint", 0.5)], [step("joint", 0.5), step("threshold", 0.5)]]
    with pytest.raises(ValueError, match="Model have different steps, joint and joint, threshold"):
        SeedScores.of({"Model": runs})


def test_conditions_name_all_that_differ():
    one = {"processes": 1, "threads": 1, "devices": [], "libraries": {"torch": "2.9.0"}}
    assert conditions([one, one]) == "torch 2.9.0; 1 thread"
    other = {"processes": 2, "threads": 4, "devices": ["GPU"], "libraries": {"torch": "2.8.0"}}
    assert conditions([one, other]) == (
        "torch 2.8.0 or 2.9.0; 1 or 4 threads; 1 or 2 processes; GPU"
    )
