import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from protoxai import LinearSegmenter, ScaleProtoSeg, SparseGroupHead, explain, refit_last_layer
from protoxai.evaluation import evaluate, sliding_logits
from protoxai.explanations import edit, explanation_change, read_marks
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.projection import RefitRecord
from tests.explanations.cases import HEADS, NAMES, block_model, blocks, head_model


def batches() -> list[dict[str, Tensor]]:
    image, labels = blocks()
    return [{"image": image.double()[None], "labels": labels[None], "index": torch.tensor([0])}]


def removable(model: ScaleProtoSeg) -> int:
    """A prototype of class 0, which has others that are used."""
    own = (model.table.class_index == 0).nonzero().flatten().tolist()
    if not isinstance(model.head, SparseGroupHead):
        return int(own[0])
    used = (model.head.group_weights(0) > 0).any(0)
    return int(own[0] if used[1:].any() else own[1])


def refit(model: ScaleProtoSeg) -> RefitRecord:
    return refit_last_layer(model, batches(), off_class_l1=0.1)


def marks(model: ScaleProtoSeg, *indices: int, **changes: Any) -> dict[str, Any]:
    entries = []
    for index in indices:
        prototype = model.prototypes[index]
        source = prototype.provenance
        entry = {"index": index, "class": prototype.class_name, "reason": "a shadow"}
        entry["image_id"] = None if source is None else source.image_id
        entries.append({**entry, **changes})
    return {"format": 1, "prototypes": entries}


def written(content: Any, folder: Path) -> Path:
    path = folder / "marks.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# --- marks of a report


def test_a_report_may_name_the_classes_of_a_model_without_names(tmp_path: Path) -> None:
    model = head_model("stage 1", class_names=None)
    path = written(marks(model, 0, **{"class": "sky"}), tmp_path)
    assert [mark.index for mark in read_marks(path, model)] == [0]
    model.class_names = ("ground", "road", "tree")
    with pytest.raises(ValueError, match="the marks are of another model"):
        read_marks(path, model)


# --- before and after


@pytest.mark.parametrize("head", HEADS)
def test_scores_are_those_of_both_models(head: str) -> None:
    model = head_model(head)
    index = removable(model)
    edited = edit(model, [index], batches())
    assert edited.removed == (index,)
    assert edited.refit is None
    assert edited.before == evaluate(model, batches())
    assert edited.after == evaluate(model.without([index]), batches())
    assert edited.class_names == NAMES
    assert edited.change is None


def test_scores_are_those_of_the_sliding_window_that_the_model_carries() -> None:
    model = head_model("stage 1")
    model.evaluation_settings = EvaluationSettings(window=(8, 8), stride=(8, 8))
    edited = edit(model, [removable(model)], batches())
    for scored, scores in ((model, edited.before), (edited.model, edited.after)):
        windows = partial(sliding_logits, scored, window=(8, 8), stride=(8, 8))
        windowed, whole = (evaluate(scored, batches(), logits_of=f) for f in (windows, None))
        assert scores.mean_iou == windowed.mean_iou != whole.mean_iou


def test_a_refit_adapts_the_new_model() -> None:
    model = head_model("stage 2")
    edited = edit(model, [removable(model)], batches(), refit=refit)
    assert edited.refit is not None
    assert edited.model is edited.refit.model
    assert edited.refit.after.loss < edited.refit.before.loss
    assert edited.after == evaluate(edited.model, batches())
    text = edited.to_text()
    assert text.startswith(f"removed the prototype {edited.removed[0]}\n\nrefitted the last layer")
    assert [line.split()[0] for line in text.split("\n\n")[2].splitlines()] == [
        "%",
        "mIoU",
        "pixel",
        *["IoU"] * 3,
    ]
    plain = json.loads(json.dumps(edited.to_plain()))
    assert list(plain["after"]["per_class"]) == list(NAMES)
    assert plain["refit"]["after"]["loss"] == edited.refit.after.loss
    assert "model" not in plain["refit"]


# --- the explanation's change


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("refitted", [False, True])
def test_changes_add_up_to_the_logit(head: str, refitted: bool) -> None:
    model = head_model(head)
    image = blocks()[0].double()
    adapt = refit if refitted else None
    edited = edit(model, [removable(model)], batches(), image=image, refit=adapt)
    before, after = explain(model, image), explain(edited.model, image)
    change = edited.change
    moved = (before.prediction != after.prediction).double().mean()
    assert change.relabelled == pytest.approx(float(moved))
    assert [r.class_index for r in change.regions] == [r.class_index for r in before.regions]
    for region, expected in zip(change.regions, before.regions, strict=True):
        mask = before.prediction == region.class_index
        assert region.logit[0] == pytest.approx(expected.logit, rel=1e-9)
        later = after.region(mask, region.class_index)
        assert region.logit[1] == pytest.approx(later.logit, rel=1e-9)
        total = sum(p.change for p in region.prototypes)
        base = region.baseline[1] - region.baseline[0]
        assert total + base == pytest.approx(region.logit[1] - region.logit[0], abs=1e-5)
        sizes = [abs(p.change) for p in region.prototypes]
        assert sizes == sorted(sizes, reverse=True)
        assert {p.prototype for p in region.prototypes} == set(range(len(model.table)))
        for p in region.prototypes:
            assert p.removed is (p.prototype in edited.removed)
            assert p.class_name == NAMES[model.table.class_index[p.prototype]]
            assert p.scale == model.table.scale_index[p.prototype]
    assert "removed): " in edited.to_text()


def test_in_stage_1_only_what_was_removed_changes() -> None:
    model = block_model()
    index, image = removable(model), blocks()[0].double()
    change = edit(model, [index], batches(), image=image).change
    for region in change.regions:
        first, *others = region.prototypes
        assert (first.prototype, first.after) == (index, 0)
        assert all(p.change == pytest.approx(0, abs=1e-12) for p in others)


def test_explanations_of_other_models() -> None:
    model = block_model()
    explanation = explain(model, blocks()[0].double())
    with pytest.raises(ValueError, match="give explanations of one image by a model"):
        explanation_change(explanation, explanation, [0])


# --- marks


def test_marks_are_read_and_applied(tmp_path: Path) -> None:
    model = head_model("stage 2")
    index = removable(model)
    path = written(marks(model, index), tmp_path)
    (mark,) = read_marks(path, model)
    assert (mark.index, mark.class_name, mark.reason) == (index, "sky", "a shadow")
    assert mark.image_id == model.provenance[index].image_id
    edited = edit(model, path, batches())
    assert edited.removed == (index,)
    assert edited.model.table == model.without([index]).table


def test_marks_of_a_model_without_provenance(tmp_path: Path) -> None:
    model = block_model(projected=False)
    (mark,) = read_marks(written(marks(model, 0), tmp_path), model)
    assert mark.image_id is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "road"}, "of class 'road' from .* but that of the model is of class 'sky' from"),
        ({"image_id": "other"}, "from image 'other', but that of the model .* from image '0'"),
        ({"image_id": None}, "from no known image, but"),
        ({"index": 99}, "prototype 99 .* but the model has [0-9] prototypes: the marks are of an"),
        ({"index": "0"}, "index is '0', expected a whole number"),
        ({"index": -1}, "index is -1"),
        ({"class": 3}, 'the "class" of mark 0 is 3, expected text'),
        ({"reason": ["a"]}, 'the "reason" of mark 0'),
    ],
)
def test_marks_of_another_model(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = block_model()
    assert removable(model) == 0
    path = written(marks(model, 0, **change), tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        read_marks(path, model)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected {"),
        ({"format": 1}, "expected {"),
        ({"format": 2, "prototypes": [{}]}, "has the format 2, but this version of protoxai reads"),
        ({"format": 1, "prototypes": []}, "marks no prototype"),
        ({"format": 1, "prototypes": [3]}, 'a mark is 3, expected "index", "class" and "image_id"'),
        ({"format": 1, "prototypes": [{"index": 0}]}, "a mark is {'index': 0}"),
    ],
)
def test_files_that_hold_no_marks(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_marks(written(content, tmp_path), block_model())


def test_a_prototype_that_is_marked_twice(tmp_path: Path) -> None:
    model = block_model()
    with pytest.raises(ValueError, match="marks prototype 0 twice"):
        read_marks(written(marks(model, 0, 0), tmp_path), model)


def test_a_file_that_is_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_marks(tmp_path / "none.json", block_model())
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        read_marks(tmp_path / "a.json", block_model())


def test_a_black_box_has_no_prototypes() -> None:
    model = LinearSegmenter(torch.nn.Conv2d(3, 4, 3, stride=4), 2)
    with pytest.raises(TypeError, match=r"LinearSegmenter.*expected a ScaleProtoSeg"):
        edit(model, [0], batches())
