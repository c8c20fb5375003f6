import pytest
import torch
from torch import Tensor

from protoxai import MultiScalePrototypeLayer, PrototypeHead, SparseGroupHead
from protoxai.labels import labels_at
from protoxai.losses import (
    ScaleProtoSegLoss,
    activation_norm_loss,
    criterion,
    cross_entropy_loss,
    group_cross_entropy_loss,
    group_diversity_loss,
    group_entropy_loss,
    off_class_l1_loss,
    prototype_diversity_loss,
    register_loss,
    sample_entropy_loss,
    scale_max_loss,
    spatial_entropy_loss,
)
from protoxai.model.outputs import SegmentationOutput
from tests.cases import UNEVEN, VOID
from tests.toys import small_model

GROUP_TERMS = ["group_diversity", "group_entropy", "group_cross_entropy", "scale_max"]
# Powers of 3 tell from a sum which weight went with which term.
WEIGHTS = {
    name: 3.0**power
    for power, name in enumerate(
        [
            "cross_entropy",
            "prototype_diversity",
            "spatial_entropy",
            "sample_entropy",
            "activation_norm_l1",
            "activation_norm_linf",
            *GROUP_TERMS,
            "off_class_l1",
        ]
    )
}
NO_TERMS = dict.fromkeys(WEIGHTS, 0.0)


def output_of(head: PrototypeHead | SparseGroupHead, height: int, width: int) -> SegmentationOutput:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=4).double()
    embedding = torch.rand(2, 4, 4, height, width, dtype=torch.float64)
    distances, activations = layer(embedding)
    scores = head.scores(activations) if isinstance(head, SparseGroupHead) else None
    return SegmentationOutput(head(activations), embedding, distances, activations, scores)


def image_labels() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 4, VOID])[torch.randint(0, 6, (2, 12, 16))]


def terms_by_hand(
    output: SegmentationOutput, labels: Tensor, head: SparseGroupHead
) -> dict[str, Tensor]:
    labels = labels_at(labels, tuple(output.logits.shape[2:]))
    maps = output.activations
    return {
        "cross_entropy": cross_entropy_loss(output.logits, labels),
        "prototype_diversity": prototype_diversity_loss(output.distances, labels, UNEVEN),
        "spatial_entropy": spatial_entropy_loss(maps, labels, UNEVEN),
        "sample_entropy": sample_entropy_loss(maps, labels, UNEVEN),
        "activation_norm_l1": activation_norm_loss(maps, labels, UNEVEN, norm="l1"),
        "activation_norm_linf": activation_norm_loss(maps, labels, UNEVEN, norm="linf"),
        "group_diversity": group_diversity_loss(output.group_scores, labels, head.group_class),
        "group_entropy": group_entropy_loss(head),
        "group_cross_entropy": group_cross_entropy_loss(head),
        "scale_max": scale_max_loss(head),
        "off_class_l1": off_class_l1_loss(head),
    }


def test_all_terms_are_weighted_and_averaged_over_the_outputs() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    labels = image_labels()
    auxiliary = (output_of(head, 6, 8), output_of(head, 3, 4), output_of(head, 4, 6))
    output = output_of(head, 6, 8)._replace(auxiliary=auxiliary)
    by_hand = [terms_by_hand(each, labels, head) for each in (output, *auxiliary)]
    found = ScaleProtoSegLoss(**WEIGHTS)(output, labels, head)
    assert set(found) == {"loss", *WEIGHTS}
    for name in WEIGHTS:
        expected = sum(each[name] for each in by_hand) / 4
        torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-10)
    total = sum(weight * found[name] for name, weight in WEIGHTS.items())
    torch.testing.assert_close(found["loss"], total, rtol=1e-12, atol=0)


def test_stage_1_of_the_method_is_the_default() -> None:
    head, labels = PrototypeHead(UNEVEN).double(), image_labels()
    output = output_of(head, 6, 8)
    found = ScaleProtoSegLoss(off_class_l1=1e-4)(output, labels, head)
    assert set(found) == {"loss", "cross_entropy", "prototype_diversity", "off_class_l1"}
    expected = (
        found["cross_entropy"] + 0.25 * found["prototype_diversity"] + 1e-4 * found["off_class_l1"]
    )
    torch.testing.assert_close(found["loss"], expected, rtol=1e-12, atol=0)
    found["loss"].backward()
    assert head.weight.grad.isfinite().all()
    assert set(ScaleProtoSegLoss()(output, labels, head)) == {
        "loss",
        "cross_entropy",
        "prototype_diversity",
    }


@pytest.mark.parametrize("name", WEIGHTS)
def test_each_term_alone(name: str) -> None:
    head, labels = SparseGroupHead(UNEVEN, num_groups=2).double(), image_labels()
    output = output_of(head, 6, 8)
    found = ScaleProtoSegLoss(**{**NO_TERMS, name: 2.0})(output, labels, head)
    assert set(found) == {"loss", name}
    torch.testing.assert_close(found["loss"], 2 * found[name])
    torch.testing.assert_close(found[name], terms_by_hand(output, labels, head)[name])


def test_terms_of_weight_0_are_not_computed() -> None:
    head, labels = PrototypeHead(UNEVEN).double(), image_labels()
    output = output_of(head, 6, 8)
    # Distances of no use to any term: touching them would be an error.
    found = ScaleProtoSegLoss(prototype_diversity=0.0)(
        output._replace(distances=torch.empty(0)), labels, head
    )
    assert set(found) == {"loss", "cross_entropy"}
    with pytest.raises(ValueError, match="distances: got shape"):
        ScaleProtoSegLoss()(output._replace(distances=torch.empty(0)), labels, head)


def test_class_weight_and_ignore_value_reach_the_terms() -> None:
    head, labels = PrototypeHead(UNEVEN).double(), image_labels()
    output = output_of(head, 6, 8)
    weight = [1.0, 2.0, 3.0, 4.0, 5.0]
    renamed = labels.masked_fill(labels == VOID, -1)
    found = ScaleProtoSegLoss(class_weight=weight, ignore_index=-1)(output, renamed, head)
    on_grid = labels_at(labels, (6, 8))
    expected = cross_entropy_loss(output.logits, on_grid, class_weight=torch.tensor(weight))
    torch.testing.assert_close(found["cross_entropy"], expected)
    expected = prototype_diversity_loss(output.distances, on_grid, UNEVEN)
    torch.testing.assert_close(found["prototype_diversity"], expected)


def test_all_void_is_finite() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).double()
    found = ScaleProtoSegLoss(**WEIGHTS)(output_of(head, 6, 8), torch.full((2, 12, 16), VOID), head)
    assert all(term.isfinite() for term in found.values())
    found["loss"].backward()
    assert head.group_parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", GROUP_TERMS)
def test_group_terms_without_groups(name: str) -> None:
    head = PrototypeHead(UNEVEN).double()
    criterion = ScaleProtoSegLoss(**{name: 1.0})
    with pytest.raises(ValueError, match=rf"term {name} needs .*model\.group\(\).*weight 0"):
        criterion(output_of(head, 6, 8), image_labels(), head)


def test_weights_that_make_no_loss() -> None:
    with pytest.raises(ValueError, match="every loss weight is 0"):
        ScaleProtoSegLoss(**NO_TERMS)
    with pytest.raises(TypeError, match="grop_entropy"):
        ScaleProtoSegLoss(grop_entropy=0.05)


def test_wrong_labels() -> None:
    head = PrototypeHead(UNEVEN).double()
    output = output_of(head, 6, 8)
    with pytest.raises(ValueError, match=r"hold 9;.*classes 0 to 4"):
        ScaleProtoSegLoss()(output, torch.full((2, 12, 16), 9), head)
    with pytest.raises(ValueError, match=r"\(2, 8, 6, 8\), expected \(batch=1, prototypes=8"):
        ScaleProtoSegLoss()(output, image_labels()[:1], head)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prototype_diversity": 0, "off_class_l1": 1e-4},
        {"class_weight": [0.5, 2.0], "ignore_index": -1},
    ],
)
def test_a_representation_makes_the_same_criterion(options: dict[str, object]) -> None:
    criterion = ScaleProtoSegLoss(**options)
    again = eval(repr(criterion))
    assert repr(again) == repr(criterion)
    assert again.weights == criterion.weights
    assert again.ignore_index == criterion.ignore_index


def test_a_misspelt_term() -> None:
    with pytest.raises(TypeError, match=r"no loss term scale_mx \(did you mean 'scale_max'\?\)"):
        ScaleProtoSegLoss(scale_mx=1)


@pytest.fixture
def own_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criterion, "TERMS", dict(criterion.TERMS))


def mine(output, labels, head, ignore_index):
    return output.activations.mean()


@pytest.mark.usefixtures("own_terms")
def test_what_is_no_loss_term_is_an_error() -> None:
    with pytest.raises(TypeError, match=r'is no name, expected @register_loss\("my_loss"\)'):
        register_loss(mine)
    with pytest.raises(TypeError, match=r"too many positional arguments\).*head, ignore_index"):
        register_loss("mine")(lambda activations, labels, table: activations.mean())
    with pytest.raises(TypeError, match=r"ReLU.* cannot be registered \(too many"):
        register_loss("mine")(torch.nn.ReLU)
    with pytest.raises(ValueError, match="a term or an option scale_max already"):
        register_loss("scale_max")(mine)
    register_loss("mine")(mine)
    register_loss("mine")(mine)  # as a notebook's cell that runs again


@pytest.mark.usefixtures("own_terms")
@pytest.mark.parametrize("value", [torch.ones(2), 0.5])
def test_a_term_that_is_no_scalar_is_an_error(value: object) -> None:
    register_loss("mine")(lambda output, labels, head, ignore_index: value)
    head = PrototypeHead(UNEVEN).double()
    with pytest.raises(TypeError, match=r"the loss term mine is .*expected a scalar tensor"):
        ScaleProtoSegLoss(mine=1.0)(output_of(head, 6, 8), image_labels(), head)


@pytest.mark.usefixtures("own_terms")
def test_a_registered_group_term_without_groups() -> None:
    register_loss("mine", grouped=True)(mine)
    head = PrototypeHead(UNEVEN).double()
    with pytest.raises(ValueError, match=r"term mine needs a SparseGroupHead.*model\.group\(\)"):
        ScaleProtoSegLoss(mine=1.0)(output_of(head, 6, 8), image_labels(), head)


def test_labels_turned_against_the_output() -> None:
    model = small_model()
    output = model(torch.rand(1, 3, 32, 64))
    with pytest.raises(ValueError, match="turned against each other"):
        ScaleProtoSegLoss()(output, torch.zeros(1, 64, 32).long(), model.head)
    with pytest.raises(ValueError, match="at least one pixel"):
        ScaleProtoSegLoss()(output, torch.zeros(1, 0, 64).long(), model.head)
