import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from protoxai import LinearSegmenter
from protoxai.evaluation import evaluate
from protoxai.evaluation.scores import grid_scores
from tests.evaluation.toys import ReadsClass
from tests.training.cases import toy_batches, toy_model


def images_of_classes(classes: Tensor) -> Tensor:
    return classes[:, None].expand(-1, 3, -1, -1).float()


def loader(*batches: dict[str, Tensor]) -> DataLoader:
    return DataLoader(list(batches), batch_size=None)


def test_by_hand_over_two_batches() -> None:
    first = {
        "image": images_of_classes(torch.tensor([[[0, 0], [1, 1]]])),
        "labels": torch.tensor([[[0, 1], [1, 255]]]),
    }
    second = {
        "image": images_of_classes(torch.tensor([[[1, 0]]])),
        "labels": torch.tensor([[[1, 0]]]),
    }
    scores = evaluate(ReadsClass().train(), loader(first, second))
    # Class 0: hits 2, union 3; class 1: hits 2, union 3; class 2 occurs nowhere.
    assert scores.per_class[:2] == pytest.approx((2 / 3, 2 / 3))
    assert math.isnan(scores.per_class[2])
    assert scores.mean_iou == pytest.approx(2 / 3)
    assert scores.pixel_accuracy == pytest.approx(4 / 5)
    assert (scores.prototypes, scores.active_prototypes) == (0, 0)


def test_logits_are_resized_to_the_labels() -> None:
    classes = torch.tensor([[[0, 1], [0, 1]]])
    labels = torch.tensor([[0, 0, 0, 1, 1, 1]]).expand(1, 4, 6)
    scores = evaluate(ReadsClass(), loader({"image": images_of_classes(classes), "labels": labels}))
    assert scores.pixel_accuracy == 1


def test_accuracy_on_the_grid_takes_the_labels_there() -> None:
    labels = torch.full((1, 4, 4), 2)
    # Pixels 1 and 3 of four lie nearest to the centres of the grid's two.
    labels[0, 1::2, 1::2] = torch.tensor([[0, 1], [0, 0]])
    batch = {"image": images_of_classes(torch.tensor([[[0, 1], [0, 1]]])), "labels": labels}
    assert grid_scores(ReadsClass(), loader(batch))["accuracy"] == pytest.approx(3 / 4)
    labels[0, 3, 3] = 255
    assert grid_scores(ReadsClass(), loader(batch))["accuracy"] == 1


def test_another_ignore_value() -> None:
    batch = {
        "image": images_of_classes(torch.tensor([[[0, 1]]])),
        "labels": torch.tensor([[[0, -1]]]),
    }
    assert evaluate(ReadsClass(), loader(batch), ignore_index=-1).pixel_accuracy == 1


def test_prototypes_are_counted() -> None:
    model = toy_model()
    model.head.weight.data[:, 0] = 0
    scores = evaluate(model, loader(*toy_batches(1)))
    assert (scores.prototypes, scores.active_prototypes) == (8, 7)
    model.group(2)
    dense = torch.zeros(4, 8)
    dense[model.head.group_class == 0, int((model.table.class_index == 0).nonzero()[0])] = 1
    model.head.set_group_weights(dense)
    assert evaluate(model, loader(*toy_batches(1))).active_prototypes == 1


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_is(training: bool) -> None:
    model = toy_model().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, loader(*toy_batches(2)))
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_it_agrees_with_predict(device: torch.device) -> None:
    model = LinearSegmenter(nn.Conv2d(3, 8, 4, stride=4), 2, init_gain=1.0).to(device)
    batch = toy_batches(1)[0]
    predicted = model.predict(batch["image"].to(device)).cpu()
    labelled = batch["labels"] != 255
    right = (predicted == batch["labels"])[labelled].float().mean()
    scores = evaluate(model, loader(batch))
    assert scores.pixel_accuracy == pytest.approx(float(right), abs=1e-6)


def test_nothing_labelled_is_undefined() -> None:
    batch = {
        "image": images_of_classes(torch.tensor([[[0, 1]]])),
        "labels": torch.tensor([[[255, 255]]]),
    }
    scores = evaluate(ReadsClass(), loader(batch))
    assert math.isnan(scores.mean_iou)
    assert math.isnan(scores.pixel_accuracy)
    assert str(scores) == "mIoU undefined (no pixel is labelled)"


@pytest.mark.parametrize(("predicted", "mean_iou"), [([0, 0], "100.00"), ([0, 1], "25.00")])
def test_a_mean_over_a_single_labelled_class_says_so(predicted: list, mean_iou: str) -> None:
    batch = {
        "image": images_of_classes(torch.tensor([[predicted]])),
        "labels": torch.tensor([[[0, 0]]]),
    }
    scores = evaluate(ReadsClass(), loader(batch))
    assert scores.labelled_classes == 1
    assert str(scores).startswith(f"mIoU {mean_iou} (a single class is labelled), pixel accuracy ")
    both = {**batch, "labels": torch.tensor([[[0, 1]]])}
    assert evaluate(ReadsClass(), loader(both)).caution == ""


def test_every_batch_is_handed_over_with_its_predictions() -> None:
    classes = torch.tensor([[[0, 1], [2, 1]]])
    batches = [
        {"image": images_of_classes(classes), "labels": classes * 0},
        {"image": images_of_classes(classes[:, :, :1]), "labels": torch.zeros(1, 4, 2).long()},
    ]
    handed_over = []
    evaluate(ReadsClass(), batches, on_batch=lambda *given: handed_over.append(given))
    (first, batch), (second, _) = handed_over
    assert torch.equal(first, classes)
    assert batch is batches[0]
    assert second.shape == (1, 4, 2)


@pytest.mark.parametrize("logits", [torch.zeros(1, 2, 4, 4), torch.zeros(2, 3, 4, 4), None])
def test_logits_of_other_classes_or_images(logits: Tensor | None) -> None:
    model = LinearSegmenter(nn.Conv2d(3, 8, 3, stride=8), 3)
    batch = {"image": torch.rand(1, 3, 32, 32), "labels": torch.zeros(1, 32, 32).long()}
    with pytest.raises((TypeError, ValueError), match=r"logits_of.*batch=1, classes=3"):
        evaluate(model, [batch], logits_of=lambda _: logits)  # type: ignore[arg-type,return-value]


def test_one_name_per_image() -> None:
    model = LinearSegmenter(nn.Conv2d(3, 8, 3, stride=8), 3)
    batch = {"image": torch.rand(2, 3, 32, 32), "labels": torch.zeros(2, 32, 32).long()}
    with pytest.raises(ValueError, match="1 names for 2 images"):
        evaluate(model, [{**batch, "id": ["a"]}])
    with pytest.raises(TypeError, match="one name per image"):
        evaluate(model, [{**batch, "id": "ab"}])
