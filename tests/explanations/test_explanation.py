"""Every number of an explanation, against loops written from the formulas."""

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai import ScaleProtoSeg, explain
from protoxai.explanations import Explanation, RegionExplanation
from protoxai.projection.active_region import active_region, patch_box
from protoxai.runtime.resize import resize
from tests.explanations.cases import HEADS, NAMES, SIZE, blocks, head_model

GRID = (8, 12)
PIXELS = ((0, 0), (31, 47), (0, 47), (13, 22), (16, 40), (30, 5))


@pytest.fixture(scope="module", params=HEADS)
def model(request: pytest.FixtureRequest) -> ScaleProtoSeg:
    torch.manual_seed(0)
    return head_model(request.param)


@pytest.fixture(scope="module")
def explanation(model: ScaleProtoSeg) -> Explanation:
    return explain(model, blocks()[0].double())


def evidence_at_cell(model: ScaleProtoSeg, g: list[float], c: int) -> dict[tuple[int, int], float]:
    """Evidence for a class by (unit, prototype) in one cell, from the formulas of the method."""
    head, classes = model.head, model.table.class_index.tolist()
    weight = head.class_weights().tolist()[c]
    if not model.grouped:
        return {(p, p): weight[p] * g[p] for p in range(len(g))}
    shares = {}
    for n, row in enumerate(head.group_weights().tolist()):
        a = sum(w * value for w, value in zip(row, g, strict=True))
        for p, w in enumerate(row):
            if classes[p] == int(head.group_class[n]):
                shares[n, p] = weight[n] * w * g[p] * (math.expm1(a) / a)
    return shares


def corners(row: int, col: int) -> list[tuple[int, int, float]]:
    """The four cells around a pixel and their bilinear weights."""
    sides = []
    for at, pixels, cells in zip((row, col), SIZE, GRID, strict=True):
        place = max((at + 0.5) * cells / pixels - 0.5, 0)
        low = int(place)
        sides.append(((low, 1 - place + low), (min(low + 1, cells - 1), place - low)))
    return [(r, c, u * v) for r, u in sides[0] for c, v in sides[1]]


def evidence_at(model: ScaleProtoSeg, output: Any, row: int, col: int, c: int) -> dict:
    total: dict[tuple[int, int], float] = {}
    for r, s, weight in corners(row, col):
        cell = evidence_at_cell(model, output.activations[0, :, r, s].tolist(), c)
        for key, value in cell.items():
            total[key] = total.get(key, 0) + weight * value
    return total


def check_region(found: RegionExplanation, expected: dict[tuple[int, int], float]) -> None:
    seen = set()
    for group in found.groups:
        for member in group.prototypes:
            key = group.group, member.prototype
            seen.add(key)
            assert member.evidence == pytest.approx(expected[key], rel=1e-5, abs=1e-7)
        own = sum(value for (n, _), value in expected.items() if n == group.group)
        assert group.evidence == pytest.approx(own, rel=1e-5, abs=1e-7)
    groups = {group.group for group in found.groups}
    others = sum(value for (n, _), value in expected.items() if n not in groups)
    assert found.other_evidence == pytest.approx(others, rel=1e-5, abs=1e-6)
    unused = [value for key, value in expected.items() if key[0] in groups and key not in seen]
    assert unused == pytest.approx([0] * len(unused))


@pytest.mark.parametrize(("row", "col"), PIXELS)
def test_a_pixel_has_the_numbers_of_a_loop(
    model: ScaleProtoSeg, explanation: Explanation, row: int, col: int
) -> None:
    found = explanation.at(row, col)
    assert found.class_index == int(explanation.prediction[row, col])
    assert found.region.nonzero().tolist() == [[row, col]]
    logits = resize(explanation.output.logits, SIZE)[0, :, row, col]
    assert found.logit == pytest.approx(float(logits[found.class_index]), rel=1e-6)
    check_region(found, evidence_at(model, explanation.output, row, col, found.class_index))
    for group in found.groups:
        for member in group.prototypes:
            cell = explanation.output.activations[0, member.prototype]
            place = (2 * row + 1) * 8 // 64, (2 * col + 1) * 12 // 96
            assert member.activation == pytest.approx(float(cell[place]), rel=1e-6)


def test_a_region_is_the_mean_over_its_pixels(
    model: ScaleProtoSeg, explanation: Explanation
) -> None:
    box = (14, 20, 18, 23)
    pixels = [(row, col) for row in range(14, 18) for col in range(20, 23)]
    found = explanation.region(box, class_index=1)
    total: dict[tuple[int, int], float] = {}
    for row, col in pixels:
        for key, value in evidence_at(model, explanation.output, row, col, 1).items():
            total[key] = total.get(key, 0) + value / len(pixels)
    check_region(found, total)
    activations = {m.prototype: m.activation for group in found.groups for m in group.prototypes}
    for prototype, activation in activations.items():
        cells = explanation.activation_map(prototype)[14:18, 20:23]
        assert activation == pytest.approx(float(cells.mean()), rel=1e-6)
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[14:18, 20:23] = True
    for same in (mask, mask.numpy(), list(box)):
        assert str(explanation.region(same, 1)) == str(found)
    most = int(explanation.prediction[mask].mode().values)
    assert explanation.region(box).class_index == most


@pytest.mark.parametrize("head", HEADS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), row=st.integers(0, 31), col=st.integers(0, 47))
def test_parts_sum_to_the_logit_in_single_precision(
    head: str, seed: int, row: int, col: int
) -> None:
    torch.manual_seed(seed)
    model = head_model(head, projected=False).float()
    explanation = explain(model, torch.randn(3, *SIZE))
    for region in (*explanation.regions, explanation.at(row, col)):
        total = region.baseline + region.other_evidence
        total += sum(member.evidence for group in region.groups for member in group.prototypes)
        size = abs(region.baseline) + abs(region.other_evidence) + abs(region.logit)
        assert abs(total - region.logit) <= 1e-5 * max(1, size)


def test_maps_sum_to_the_logit_and_average_to_the_region(explanation: Explanation) -> None:
    prototypes = range(len(explanation.prototypes))
    for region in explanation.regions:
        maps = [explanation.evidence_map(p, region.class_index) for p in prototypes]
        logits = resize(explanation.output.logits, SIZE)[0, region.class_index]
        torch.testing.assert_close(
            torch.stack(maps).sum(0) + region.baseline, logits, rtol=1e-6, atol=1e-6
        )
        for p in {m.prototype for group in region.groups for m in group.prototypes}:
            shares = sum(
                m.evidence for group in region.groups for m in group.prototypes if m.prototype == p
            )
            mean = float(maps[p][region.region].mean())
            assert shares == pytest.approx(mean, rel=1e-4, abs=1e-6)


def test_an_activation_is_its_cell_s(explanation: Explanation) -> None:
    found = explanation.activation_map(4)
    cells = explanation.output.activations[0, 4]
    for row in range(SIZE[0]):
        for col in range(SIZE[1]):
            assert found[row, col] == cells[int((row + 0.5) * 8 / 32), int((col + 0.5) * 12 / 48)]


def test_a_prototype_fires_around_its_peak_in_the_region(explanation: Explanation) -> None:
    for prototype in range(len(explanation.prototypes)):
        cells = explanation.output.activations[0, prototype]
        own = explanation.prediction == explanation.head.table.class_index[prototype]
        cell, box = explanation.firing(prototype)
        assert box == explanation.box(prototype) == active_region(cells, own.numpy(), *cell)
        inside = [float(cells[row // 4, col // 4]) for row, col in own.nonzero().tolist()]
        assert float(cells[cell]) == max(inside)
        top, left, bottom, right = patch_box(*cell, GRID, SIZE)
        assert box[0] <= top < bottom <= box[2]
        assert box[1] <= left < right <= box[3]
    cell, box = explanation.firing(3, (9, 13, 10, 14))
    assert cell == (2, 3)
    assert box[0] <= 9 < box[2]
    assert box[1] <= 13 < box[3]


def test_without_a_pixel_of_its_class_a_prototype_fires_anywhere() -> None:
    model = head_model("stage 1")
    model.head.weight.data[1] = -100
    explanation = explain(model, blocks()[0].double())
    prototype = int((model.table.class_index == 1).nonzero()[0])
    cells = explanation.output.activations[0, prototype]
    assert float(cells[explanation.firing(prototype).cell]) == float(cells.max())
    with pytest.raises(ValueError, match=r"class_index is 1 \(road\), which is predicted nowhere"):
        explanation.of_class(1)
    with pytest.raises(ValueError, match=r"this is 1 \(road\), which is predicted nowhere"):
        explanation.contrast(1)
    assert explanation.contrast(1, 0, region=(0, 0, 1, 1)).difference < 0


def test_an_explanation_does_not_change_with_its_model() -> None:
    model = head_model("stage 2")
    explanation = explain(model, blocks()[0].double())
    before, weights = explanation.to_dict(), explanation.prototypes[0].group_weights
    again = explain(model, blocks()[0].double())
    model.head.weight.data.zero_()
    model.head.threshold_(0.9)
    assert again.to_dict() == before
    assert again.prototypes[0].group_weights == weights


def test_the_dictionary_is_json_and_holds_every_number(explanation: Explanation) -> None:
    found = explanation.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["height"], found["width"], found["class_names"]) == (*SIZE, list(NAMES))
    assert len(found["regions"]) == len(explanation.regions)
    for entry, region in zip(found["regions"], explanation.regions, strict=True):
        assert entry["logit"] == region.logit
        assert entry["pixels"] == int(region.region.sum())
        top, left, bottom, right = entry["box"]
        inside = torch.zeros(SIZE, dtype=torch.bool)
        inside[top:bottom, left:right] = True
        assert not (region.region & ~inside).any()
        assert entry["familiarity"] == pytest.approx(
            float(explanation.familiarity[region.region].mean())
        )
        for group, own in zip(entry["groups"], region.groups, strict=True):
            assert (group["group"], group["evidence"]) == (own.group, own.evidence)
            assert len(group["prototypes"]) == len(own.prototypes)
            for member, one in zip(group["prototypes"], own.prototypes, strict=True):
                assert member["prototype"] == one.prototype
                assert member["provenance"]["patch"] == list(one.provenance.patch)


HOSTILE = ("<script>alert(1)</script>", 'a" onload="b\' & $x_{', "🦊 مرحبا" + "x" * 300)


def test_a_summary_in_a_notebook_escapes_names() -> None:
    explanation = explain(head_model("stage 2", class_names=HOSTILE), blocks()[0].double())
    html = explanation._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert 'onload="' not in html
    assert html.count("<tr>") == 1 + len(explanation.regions)
    json.dumps(explanation.to_dict())
    assert "<script>" in str(explanation)


def test_labels_are_kept_and_checked() -> None:
    model, (image, labels) = head_model("stage 1"), blocks()
    image = image.double()
    explanation = explain(model, image, labels.to(torch.uint8))
    assert explanation.labels.dtype == torch.int64
    assert torch.equal(explanation.labels, labels)
    assert explain(model, image).labels is None
    labels[0, 0] = 254
    with pytest.raises(ValueError, match="labels hold 254"):
        explain(model, image, labels)
    assert int(explain(model, image, labels, ignore_index=254).labels[0, 0]) == 254
    with pytest.raises(ValueError, match=r"labels: got shape \(31, 48\), expected .*height=32"):
        explain(model, image, labels[1:])


@pytest.mark.parametrize("form", ["list", "tuple", "batch"])
def test_several_images_have_an_explanation_each(form: str) -> None:
    model, (image, labels) = head_model("stage 2"), blocks()
    both = torch.stack([image, image.flip(2)]).double()
    given = {"list": list(both), "tuple": tuple(both[:, None]), "batch": both}[form]
    found = explain(model, given, [labels, None])
    assert isinstance(found, tuple)
    assert [str(one) for one in found] == [str(explain(model, one)) for one in both]
    assert torch.equal(found[0].labels, labels)
    assert found[1].labels is None
    with pytest.raises(ValueError, match=r"one map .* for each of 2 images"):
        explain(model, given, labels[None])
    with pytest.raises(ValueError, match="expected at least one image"):
        explain(model, given[:0])


def test_images_of_a_list_may_differ_in_size_and_are_named() -> None:
    model, (image, _) = head_model("stage 1"), blocks()
    found = explain(model, [image.double(), image.double()[:, :16]])
    assert [one.size for one in found] == [(32, 48), (16, 48)]
    with pytest.raises(ValueError, match="image 1 has values that are NaN"):
        explain(model, [image.double(), image.double() * torch.nan])


@pytest.mark.parametrize("name", ["a.png", "$x_{<b>.SVG", "🦊 'a'.pdf"])
def test_figures_are_saved_by_their_suffix(name: str, tmp_path: Any) -> None:
    explanation = explain(head_model("stage 1"), blocks()[0].double())
    path = tmp_path / name
    explanation.save(path)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[name.lower()[-3:]]
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.htm"])
def test_other_suffixes_are_refused_before_anything_is_drawn(name: str, tmp_path: Any) -> None:
    explanation = explain(head_model("stage 1"), blocks()[0].double())
    with pytest.raises(ValueError, match=r"path is .*expected a name that ends with one of \.png"):
        explanation.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_page_is_saved_with_its_names_escaped(tmp_path: Any) -> None:
    explanation = explain(head_model("stage 2", class_names=HOSTILE), blocks()[0].double())
    path = tmp_path / "$x_{<b>'🦊.HTML"
    explanation.save(str(path))
    page = path.read_text(encoding="utf-8")
    assert page == explanation.to_html()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<script>alert(1)" not in page
