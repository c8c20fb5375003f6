"""The figures of the released code, reached through the public names."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeSearch,
    PrototypeTable,
    SparseGroupHead,
    project_to_simplex,
)
from protoxai.losses import (
    activation_norm_loss,
    cross_entropy_loss,
    group_cross_entropy_loss,
    group_diversity_loss,
    group_entropy_loss,
    off_class_l1_loss,
    prototype_diversity_loss,
    sample_entropy_loss,
    scale_max_loss,
    spatial_entropy_loss,
)

Golden = Callable[[str], dict[str, Tensor]]

EXACT = {"rtol": 1e-9, "atol": 1e-12}
# The released code takes the logarithms of the counts in float32.
SINGLE_PRECISION_LOGARITHM = {"rtol": 1e-7, "atol": 1e-12}

PIXEL_LOSSES = {
    "kld": ("distances", prototype_diversity_loss, {}, EXACT),
    "entropy_spatial": (
        "activations",
        spatial_entropy_loss,
        {},
        SINGLE_PRECISION_LOGARITHM,
    ),
    "entropy_sample": ("activations", sample_entropy_loss, {}, SINGLE_PRECISION_LOGARITHM),
    "norm_l1": ("activations", activation_norm_loss, {"norm": "l1"}, EXACT),
    "norm_linf": ("activations", activation_norm_loss, {"norm": "linf"}, EXACT),
}
GROUP_LOSSES = {
    "scale_max": (scale_max_loss, EXACT),
    "entropy_group": (group_entropy_loss, SINGLE_PRECISION_LOGARITHM),
    "cross_entropy_group": (group_cross_entropy_loss, EXACT),
}


FILES = ["even", "pruned", "class_without_prototypes"]
# The released code fails where a class has one prototype at a scale, as in `pruned`.
PIXEL_CASES = [
    (file, name)
    for file in FILES
    for name in PIXEL_LOSSES
    if (file, name) != ("pruned", "entropy_sample")
]


@pytest.fixture(params=FILES)
def figures(request: pytest.FixtureRequest, golden: Golden) -> dict[str, Tensor]:
    return golden(request.param)


def table_of(figures: dict[str, Tensor]) -> PrototypeTable:
    embedding, prototypes = figures["embedding"], figures["prototypes"]
    return PrototypeTable(
        figures["prototype_class"],
        figures["prototype_scale"],
        num_classes=len(figures["stage1_last_layer_weight"]),
        num_scales=embedding.shape[1] // prototypes.shape[1],
    )


def by_scale(embedding: Tensor, dim: int) -> Tensor:
    return embedding.unflatten(1, (-1, dim))


def group_head(figures: dict[str, Tensor]) -> SparseGroupHead:
    table = table_of(figures)
    num_groups = len(figures["group_class"]) // len(table.classes)
    head = SparseGroupHead(table, num_groups).double()
    head.set_group_weights(figures["group_weights"])
    head.weight.data.copy_(figures["stage2_last_layer_weight"])
    return head


def test_distances_and_activations(figures: dict[str, Tensor]) -> None:
    dim = figures["prototypes"].shape[1]
    layer = MultiScalePrototypeLayer(table_of(figures), dim).double()
    layer.prototypes.data.copy_(figures["prototypes"])
    out = layer(by_scale(figures["embedding"], dim))
    torch.testing.assert_close(out.distances, figures["distances"], **EXACT)
    torch.testing.assert_close(out.activations, figures["activations"], **EXACT)


def test_stage_1(figures: dict[str, Tensor]) -> None:
    head = PrototypeHead(table_of(figures)).double()
    assert torch.equal(head.weight.detach(), figures["stage1_last_layer_weight"])
    logits = head(figures["activations"])
    torch.testing.assert_close(logits, figures["stage1_logits"], **EXACT)
    loss = cross_entropy_loss(logits, figures["labels"]).detach()
    torch.testing.assert_close(loss, figures["loss_cross_entropy"], **EXACT)
    head.weight.data.add_(0.01)
    loss = off_class_l1_loss(head).detach()
    torch.testing.assert_close(loss, figures["loss_last_layer_l1_stage1"], **EXACT)


@pytest.mark.parametrize(("figures", "name"), PIXEL_CASES, indirect=["figures"])
def test_pixel_losses_and_their_gradients(name: str, figures: dict[str, Tensor]) -> None:
    source, loss, options, tolerance = PIXEL_LOSSES[name]
    maps = figures[source].clone().requires_grad_()
    value = loss(maps, figures["labels"], table_of(figures), **options)
    (gradient,) = torch.autograd.grad(value, maps)
    torch.testing.assert_close(value.detach(), figures[f"loss_{name}"], **tolerance)
    torch.testing.assert_close(gradient, figures[f"grad_{name}"], **tolerance)


def test_groups(figures: dict[str, Tensor]) -> None:
    head = group_head(figures)
    assert torch.equal(head.group_class, figures["group_class"])
    assert torch.equal(head.group_weights(), figures["group_weights"])
    scores, logits = head.scores(figures["activations"]), head(figures["activations"])
    torch.testing.assert_close(scores, figures["group_scores"], **EXACT)
    torch.testing.assert_close(logits, figures["stage2_logits"], **EXACT)
    head.threshold_(0.05)
    assert torch.equal(head.group_weights(), figures["group_weights_thresholded_0.05"])


def test_simplex_projection(figures: dict[str, Tensor]) -> None:
    own = figures["group_class"][:, None] == figures["prototype_class"]
    for before, after, columns in zip(
        figures["group_weights_unprojected"], figures["group_weights"], own, strict=True
    ):
        torch.testing.assert_close(project_to_simplex(before[columns]), after[columns], **EXACT)
    projected = project_to_simplex(figures["group_weights_unprojected"], own)
    torch.testing.assert_close(projected, figures["group_weights"], **EXACT)


def test_projecting_the_head(figures: dict[str, Tensor]) -> None:
    head = group_head(figures)
    before = figures["group_weights_unprojected"].unflatten(0, (-1, head.num_groups))
    for row, class_index in enumerate(head.table.classes):
        own = before[row][:, head.table.class_index == class_index]
        head.group_parameter.data[row, :, : own.shape[1]] = own
    head.project_to_simplex_()
    torch.testing.assert_close(head.group_weights().detach(), figures["group_weights"], **EXACT)


@pytest.mark.parametrize("name", GROUP_LOSSES)
def test_group_weight_losses(name: str, figures: dict[str, Tensor]) -> None:
    loss, tolerance = GROUP_LOSSES[name]
    value = loss(group_head(figures)).detach()
    torch.testing.assert_close(value, figures[f"loss_{name}"], **tolerance)


def test_group_diversity(figures: dict[str, Tensor]) -> None:
    scores, labels = figures["group_scores"], figures["labels"]
    value = group_diversity_loss(scores, labels, figures["group_class"])
    torch.testing.assert_close(value, figures["loss_kld_group"], **EXACT)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_projection(order: list[int], batch: int, golden: Golden) -> None:
    figures = golden("projection")
    prototypes = figures["prototypes"]
    embedding = by_scale(figures["embedding"], prototypes.shape[1])
    classes, scales = figures["prototype_class"], figures["prototype_scale"]
    table = PrototypeTable(classes, scales, int(classes.max()) + 1, embedding.shape[1])
    search = PrototypeSearch(table, prototypes)
    for images in torch.tensor(order).split(batch):
        search.update(embedding[images], figures["labels"][images], images)
    result = search.compute()
    assert torch.equal(result.image_index, figures["nearest_image"])
    assert torch.equal(result.row, figures["nearest_row"])
    assert torch.equal(result.col, figures["nearest_col"])
    torch.testing.assert_close(result.distance, figures["nearest_distance"], **EXACT)
    assert torch.equal(result.vector, figures["projected"])
    assert torch.equal(result.kept, figures["kept_after_deduplication"])
