from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from protoxai import LinearSegmenter, PrototypeTable, ScaleProtoSeg, explain
from protoxai.attribution import prototype_evidence, region_weights
from protoxai.explanations import Explanation
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.model.familiarity import familiarity
from protoxai.model.prediction import predicted_labels
from protoxai.runtime.resize import resize
from tests.explanations.cases import NAMES, SIZE, TABLE, block_model, blocks

# The weights of a region are computed in single precision, so they sum to 1 only nearly.
CLOSE = {"rel": 1e-7, "abs": 1e-6}


@pytest.fixture(params=["stage 1", "stage 2"])
def model(request: pytest.FixtureRequest) -> ScaleProtoSeg:
    model = block_model()
    if request.param == "stage 2":
        model.group(2)
        model.head.weight.data += torch.randn_like(model.head.weight) * 0.1
        model.double()
    return model


@pytest.fixture
def explanation(model: ScaleProtoSeg) -> Explanation:
    return explain(model, blocks()[0].double())


def test_every_number_adds_up(explanation: Explanation) -> None:
    for region in explanation.regions:
        evidence = sum(group.evidence for group in region.groups)
        assert region.logit == pytest.approx(
            region.baseline + region.other_evidence + evidence, **CLOSE
        )
        for group in region.groups:
            assert group.evidence == pytest.approx(
                sum(member.evidence for member in group.prototypes), **CLOSE
            )


def test_numbers_are_means_over_the_region(model: ScaleProtoSeg, explanation: Explanation) -> None:
    with torch.no_grad():
        output = model(blocks()[0].double()[None])
    for region in explanation.regions:
        c = region.class_index
        logits = resize(output.logits, SIZE)[0, c]
        assert region.logit == pytest.approx(float(logits[region.region].mean()), rel=1e-5)
        maps = prototype_evidence(model.head, output, c)
        means = resize(maps, SIZE)[0][:, region.region].mean(1)
        for number, mean in enumerate(means.tolist()):
            shares = [
                member.evidence
                for group in region.groups
                for member in group.prototypes
                if member.prototype == number
            ]
            if shares:
                assert sum(shares) == pytest.approx(mean, rel=1e-4, abs=1e-5)


def test_regions_are_the_prediction_largest_first(
    model: ScaleProtoSeg, explanation: Explanation
) -> None:
    prediction = model.predict(blocks()[0].double()[None])[0]
    assert torch.equal(explanation.prediction, prediction)
    assert len(explanation.regions) == len(prediction.unique()) >= 2
    for region in explanation.regions:
        assert torch.equal(region.region, prediction == region.class_index)
        assert region.class_name == NAMES[region.class_index]
    sizes = [int(region.region.sum()) for region in explanation.regions]
    assert all(first >= second for first, second in pairwise(sizes))


def test_strongest_come_first(explanation: Explanation) -> None:
    for region in explanation.regions:
        for ranked in (region.groups, *(group.prototypes for group in region.groups)):
            evidence = [entry.evidence for entry in ranked]
            assert evidence == sorted(evidence, reverse=True)


def test_members_are_the_class_s_own_with_their_scale_weight_and_source(
    model: ScaleProtoSeg, explanation: Explanation
) -> None:
    for region in explanation.regions:
        own = (model.table.class_index == region.class_index).nonzero().flatten().tolist()
        numbers = {member.prototype for group in region.groups for member in group.prototypes}
        assert numbers <= set(own)
        for group in region.groups:
            for member in group.prototypes:
                assert member.scale == model.table.scale_index[member.prototype]
                assert member.provenance is model.provenance[member.prototype]
                if model.grouped:
                    weights = model.head.group_weights().detach()
                    assert model.head.group_class[group.group] == region.class_index
                    assert member.weight == pytest.approx(
                        float(weights[group.group, member.prototype])
                    )
                else:
                    assert (group.group, member.weight) == (member.prototype, 1)
        if not model.grouped:
            assert numbers == set(own)


def test_weights_of_zero_are_left_out() -> None:
    model = block_model().group(2).double()
    dense = model.head.group_weights().detach()
    dense[:] = 0
    dense[0, int((model.table.class_index == 0).nonzero()[0])] = 0.9
    model.head.set_group_weights(dense)
    model.head.weight.data[0] += 5
    explanation = explain(model, blocks()[0].double())
    region = next(r for r in explanation.regions if r.class_index == 0)
    members = {group.group: len(group.prototypes) for group in region.groups}
    assert members == {0: 1, 1: 0}


@pytest.mark.parametrize("grouped", [False, True])
def test_a_predicted_class_without_prototypes_has_no_groups(grouped: bool) -> None:
    table = PrototypeTable([0, 0, 2], [0, 1, 0], num_classes=3, num_scales=2)
    model = block_model(table, projected=False)
    if grouped:
        model.group(2).double()
    model.head.weight.data[1] = 5
    (region,) = explain(model, blocks()[0].double()).regions
    assert (region.class_index, region.groups) == (1, ())
    assert region.logit == pytest.approx(region.baseline + region.other_evidence, **CLOSE)


def test_unprojected_prototypes_have_no_source() -> None:
    for model in (block_model(projected=False), block_model(projected=False).group().double()):
        explanation = explain(model, blocks()[0].double())
        members = [m for r in explanation.regions for g in r.groups for m in g.prototypes]
        assert members
        assert all(member.provenance is None for member in members)


def test_classes_without_names_are_numbered() -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 4, 3, stride=4), 2, prototype_dim=4)
    assert explain(model, torch.randn(3, 16, 16)).class_names == ("class 0", "class 1")


def test_the_image_is_shown_as_it_was() -> None:
    model = block_model()
    original = torch.rand(3, *SIZE)
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.mean, model.std))
    image = ((original - mean) / std).double()
    torch.testing.assert_close(explain(model, image).image, original, rtol=0, atol=1e-5)
    assert explain(model, image * 100).image.aminmax() == (0, 1)


def test_the_mode_is_restored_and_does_not_matter(model: ScaleProtoSeg) -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8))
    normed = ScaleProtoSeg(trunk, 3, prototype_dim=4)
    image = blocks()[0]
    expected = explain(normed.eval(), image)
    before = {name: value.clone() for name, value in normed.state_dict().items()}
    result = explain(normed.train(), image)
    assert normed.training
    assert str(result) == str(expected)
    assert all(torch.equal(value, before[name]) for name, value in normed.state_dict().items())


def test_a_batch_of_one_is_an_image(model: ScaleProtoSeg) -> None:
    image = blocks()[0].double()
    assert str(explain(model, image[None])) == str(explain(model, image))


def test_inference_mode_is_no_obstacle(model: ScaleProtoSeg) -> None:
    image = blocks()[0].double()
    expected = str(explain(model, image))
    with torch.inference_mode():
        assert str(explain(model, image)) == expected


def test_text_names_classes_groups_and_scales(explanation: Explanation) -> None:
    text = str(explanation)
    for region in explanation.regions:
        assert f"{region.class_name}: " in text
        for group in region.groups:
            assert f"group {group.number}: {group.evidence:+.2f} from" in text
            for member in group.prototypes:
                assert f"{member.prototype} (scale {member.scale + 1}, " in text


@pytest.mark.parametrize("shape", [(1, 16, 16), (16, 16), (1, 1, 3, 16, 16)])
def test_a_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image.* shape .*expected (\(batch|\(\.\.\.|a path)"):
        explain(block_model(), torch.zeros(shape, dtype=torch.float64))


def test_a_black_box_cannot_be_explained() -> None:
    black_box = LinearSegmenter(nn.Conv2d(3, 4, 3, stride=4), 2)
    with pytest.raises(TypeError, match=r"LinearSegmenter.*expected a ScaleProtoSeg"):
        explain(black_box, torch.rand(3, 16, 16))


def test_everything_comes_back_on_the_cpu(device: torch.device) -> None:
    model = block_model().group(2).double().to(device)
    explanation = explain(model, blocks()[0].double())
    region = explanation.regions[0]
    for tensor in (explanation.image, explanation.prediction, region.region):
        assert tensor.device.type == "cpu"


def test_the_toy_image_covers_what_these_tests_rest_on() -> None:
    region = blocks()[1] == 2
    assert 0 < float(region_weights(region, (4, 6)).max()) < 1
    assert [int((TABLE.class_index == c).sum()) for c in range(3)] == [3, 2, 1]


def test_images_are_taken_in_every_form_and_shown_at_their_own_size(tmp_path: Path) -> None:
    model = block_model().float()
    pixels = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    picture.save(tmp_path / "$x_{<b>'🦊.png")
    expected = explain(model, pixels)
    torch.testing.assert_close(expected.image, pixels / 255)
    forms = [picture, np.array(picture), str(tmp_path / "$x_{<b>'🦊.png"), model.preprocess(pixels)]
    for found in explain(model, forms):
        assert str(found) == str(expected)
        torch.testing.assert_close(found.image, expected.image)
    # The model sees it at another size.
    model.evaluation_settings = EvaluationSettings(evaluation_size=(40, 48))
    found = explain(model, picture, torch.zeros(20, 30, dtype=torch.int64))
    assert found.output.logits.shape[2:] == (10, 12)
    torch.testing.assert_close(found.image, pixels / 255)
    assert torch.equal(found.prediction, predicted_labels(found.output.logits, (20, 30))[0])
    assert torch.equal(found.prediction, model.predict(picture)[0])
    assert found.activation_map(0).shape == found.evidence_map(0, 1).shape == (20, 30)
    logits = resize(found.output.logits, (20, 30))[0]
    pixel = found.at(19, 7)
    assert pixel.logit == pytest.approx(float(logits[pixel.class_index, 19, 7]), rel=1e-5)


def test_familiarity_is_that_of_the_model_s_distances() -> None:
    model, image = block_model(), blocks()[0].double()
    explanation = explain(model, image)
    expected = familiarity(
        explanation.output.distances[0], explanation.prediction, model.class_distances, model.table
    )
    assert torch.equal(explanation.familiarity, expected)
    # The model was projected on this image, and on nothing like noise.
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).double() * 3
    assert explanation.familiarity.mean() > 0.4 > explain(model, noise).familiarity.mean()
    assert explain(block_model(projected=False), image).familiarity is None
