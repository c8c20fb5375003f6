import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from protoxai import LinearSegmenter
from protoxai.evaluation import Scores, evaluate
from protoxai.evaluation.scores import grid_scores
from protoxai.metrics import MeanIoU
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


def numbered(count: int) -> list[dict[str, Tensor]]:
    """Batches of two images each, whose predictions are right for some two in three pixels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (count, 4, 5), generator=generator)
    wrong = torch.rand(labels.shape, generator=generator) < 1 / 3
    images = images_of_classes(torch.where(wrong, (labels + 1) % 3, labels))
    return [
        {"image": images[i : i + 2], "labels": labels[i : i + 2], "index": torch.arange(i, i + 2)}
        for i in range(0, count, 2)
    ]


def test_scores_of_each_class_by_a_loop() -> None:
    batches = numbered(4)
    scores = evaluate(ReadsClass(), batches)
    predicted = torch.cat([batch["image"][:, 0] for batch in batches])
    labels = torch.cat([batch["labels"] for batch in batches])
    for number in range(3):
        said, true = predicted == number, labels == number
        hits = int((said & true).sum())
        assert scores.per_class[number] == pytest.approx(hits / int((said | true).sum()))
        assert scores.dice[number] == pytest.approx(2 * hits / int(said.sum() + true.sum()))
        assert scores.precision[number] == pytest.approx(hits / int(said.sum()))
        assert scores.recall[number] == pytest.approx(hits / int(true.sum()))


def test_the_interval_is_that_of_the_metric() -> None:
    metric = MeanIoU(3)
    batches = numbered(8)
    for batch in batches:
        metric.update(batch["image"][:, 0].long(), batch["labels"], batch["index"])
    expected = metric.interval()
    scores = evaluate(ReadsClass(), batches)
    assert scores.interval == (expected.low, expected.high)
    assert scores.interval[0] < scores.mean_iou < scores.interval[1]
    assert (scores.images, scores.unlabelled_images, scores.groups) == (8, 0, None)
    text = f"mIoU {100 * scores.mean_iou:.2f} [{100 * expected.low:.2f}, {100 * expected.high:.2f}]"
    assert str(scores).startswith(text)
    without = [{name: batch[name] for name in ("image", "labels")} for batch in batches]
    assert evaluate(ReadsClass(), without) == scores


def test_a_few_images_have_no_interval() -> None:
    batches = numbered(6)
    assert evaluate(ReadsClass(), batches).why_no_interval == ""
    batches[0]["labels"][0] = 255
    scores = evaluate(ReadsClass(), batches)
    assert scores.interval is None
    assert (scores.images, scores.unlabelled_images) == (5, 1)
    assert scores.why_no_interval == "5 images with labels, an interval needs 6"


def test_images_of_a_group_belong_together() -> None:
    batches = numbered(12)
    scores = evaluate(ReadsClass(), batches, group_of=lambda index: index // 2)
    metric = MeanIoU(3)
    for batch in batches:
        metric.update(batch["image"][:, 0].long(), batch["labels"], batch["index"])
    assert scores.interval == metric.interval(lambda index: index // 2)[1:3]
    assert scores.interval != evaluate(ReadsClass(), batches).interval
    assert (scores.images, scores.groups, scores.independent) == (12, 6, "6 groups of images")
    few = evaluate(ReadsClass(), batches, group_of=lambda index: index % 3)
    assert few.why_no_interval == "3 groups of images with labels, an interval needs 6"
    one = evaluate(ReadsClass(), batches, group_of=lambda index: 0)
    assert one.independent == "1 group of images"
    assert evaluate(ReadsClass(), batches, group_of=lambda index: index) == evaluate(
        ReadsClass(), batches
    )
    del batches[1]["index"]
    with pytest.raises(ValueError, match='without "index", but group_of needs'):
        evaluate(ReadsClass(), batches, group_of=lambda index: index)


def test_an_image_that_comes_twice_counts_once() -> None:
    batches = numbered(8)
    assert evaluate(ReadsClass(), [*batches, *batches[:2]]) == evaluate(ReadsClass(), batches)


def evaluate_a_share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    unnamed = [{**batch} for batch in numbered(14)[rank::2]]
    for batch in unnamed:
        del batch["index"]
    try:
        # Uneven shares, a process without images, images without indices.
        shares = (numbered(14)[rank::2], [numbered(14), []][rank], unnamed)
        scores = [asdict(evaluate(ReadsClass(), share)) for share in shares]
    finally:
        torch.distributed.destroy_process_group()
    torch.save(scores, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path: Path) -> None:
    alone = evaluate(ReadsClass(), numbered(14))
    torch.multiprocessing.spawn(evaluate_a_share, (tmp_path,), nprocs=2)
    for number in range(2):
        for values in torch.load(tmp_path / f"{number}.pt"):
            scores = Scores(**values)
            assert scores.interval == pytest.approx(alone.interval, abs=1e-12)
            assert replace(scores, interval=alone.interval) == alone
