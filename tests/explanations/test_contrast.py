import json

import pytest
import torch

from protoxai import ScaleProtoSeg, explain
from protoxai.explanations import Explanation
from protoxai.explanations.contrast import runner_up
from protoxai.runtime.resize import resize
from tests.explanations.cases import HEADS, NAMES, SIZE, blocks, head_model


@pytest.fixture(scope="module", params=HEADS)
def model(request: pytest.FixtureRequest) -> ScaleProtoSeg:
    torch.manual_seed(0)
    return head_model(request.param)


@pytest.fixture(scope="module")
def explanation(model: ScaleProtoSeg) -> Explanation:
    return explain(model, blocks()[0].double())


@pytest.mark.parametrize(("this", "other"), [(0, 1), (1, 0), (2, 0)])
@pytest.mark.parametrize("region", [None, (3, 5, 20, 40), (7, 7, 8, 8)])
def test_prototypes_sum_to_the_difference_of_logits(
    explanation: Explanation, this: int, other: int, region: tuple[int, ...] | None
) -> None:
    if region is None and not (explanation.prediction == this).any():
        return
    found = explanation.contrast(this, other, region)
    logits = resize(explanation.output.logits, SIZE)[0][:, found.region].mean(1)
    assert found.this_logit == pytest.approx(float(logits[this]), rel=1e-5)
    assert found.other_logit == pytest.approx(float(logits[other]), rel=1e-5)
    assert found.difference == pytest.approx(float(logits[this] - logits[other]), rel=1e-4)
    total = found.baseline + sum(each.difference for each in found.prototypes)
    assert total == pytest.approx(found.difference, rel=1e-5, abs=1e-6)
    assert (found.this_name, found.other_name) == (NAMES[this], NAMES[other])


def test_each_prototype_has_the_evidence_of_its_maps(explanation: Explanation) -> None:
    found = explanation.contrast(0, 1)
    assert torch.equal(found.region, explanation.prediction == 0)
    for each in found.prototypes:
        for c, value in ((0, each.for_this), (1, each.for_other)):
            mean = float(explanation.evidence_map(each.prototype, c)[found.region].mean())
            assert value == pytest.approx(mean, rel=1e-4, abs=1e-6)
        assert each.difference == pytest.approx(each.for_this - each.for_other)
        assert each.class_index == explanation.head.table.class_index[each.prototype]
        assert each.scale == explanation.head.table.scale_index[each.prototype]
        cells = explanation.activation_map(each.prototype)[found.region]
        assert each.activation == pytest.approx(float(cells.mean()), rel=1e-5)
        assert each.provenance is explanation.provenance[each.prototype]
    sizes = [abs(each.difference) for each in found.prototypes]
    assert sizes == sorted(sizes, reverse=True)


def test_the_other_way_round_is_the_negative(explanation: Explanation) -> None:
    region = (3, 5, 20, 40)
    one, other = explanation.contrast(0, 2, region), explanation.contrast(2, 0, region)
    assert one.difference == -other.difference
    assert one.baseline == -other.baseline
    pairs = zip(one.prototypes, other.prototypes, strict=True)
    assert all(a.difference == -b.difference for a, b in pairs)


def test_the_default_is_the_runner_up(explanation: Explanation) -> None:
    for region in explanation.regions:
        logits = resize(explanation.output.logits, SIZE)[0][:, region.region].mean(1)
        logits[region.class_index] = -torch.inf
        found = explanation.contrast(region.class_index)
        assert found.other == int(logits.argmax())


def test_prototypes_that_no_group_uses_are_left_out() -> None:
    model = head_model("stage 2")
    dense = model.head.group_weights().detach()
    dense[:, 3] = 0
    model.head.set_group_weights(dense)
    found = explain(model, blocks()[0].double()).contrast(0, 1)
    assert 3 not in [each.prototype for each in found.prototypes]
    assert found.prototypes


def test_the_baseline_is_zero_in_stage_1_and_a_difference_in_stage_2(
    model: ScaleProtoSeg, explanation: Explanation
) -> None:
    found = explanation.contrast(0, 1, (0, 0, 4, 4))
    sums = model.head.class_weights().detach().sum(1)
    expected = float(sums[0] - sums[1]) if model.grouped else 0
    assert found.baseline == pytest.approx(expected)


def test_text_and_dictionary(explanation: Explanation) -> None:
    found = explanation.contrast(0, 1)
    text = str(found)
    assert text.startswith("sky rather than road over ")
    assert f"= {found.difference:+.2f}" in text
    for each in found.prototypes:
        assert (
            f"prototype {each.prototype} (scale {each.scale + 1}): {each.difference:+.2f}" in text
        )
    values = json.loads(json.dumps(found.to_dict()))
    assert values["difference"] == found.difference
    assert "region" not in values
    assert [p["prototype"] for p in values["prototypes"]] == [p.prototype for p in found.prototypes]


def test_classes_have_to_differ(explanation: Explanation) -> None:
    with pytest.raises(ValueError, match="this and other are both class 1"):
        explanation.contrast(1, 1, (0, 0, 4, 4))


def test_a_single_class_has_no_runner_up() -> None:
    with pytest.raises(ValueError, match=r"other is None.*the model has only one"):
        runner_up(torch.tensor([1.0]), 0)
    assert runner_up(torch.tensor([1.0, 3.0, 2.0]), 1) == 2
