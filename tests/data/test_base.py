import numpy as np
import pytest
import torch

from protoxai.data import RawSample, SegmentationDataset
from protoxai.data.label_images import read_labels


class Fixed(SegmentationDataset):
    """One sample of given labels."""

    def __init__(self, labels, parts=None, **options):
        super().__init__(options.pop("class_names", ("a", "b")), **options)
        self.labels, self.parts = torch.as_tensor(labels), parts

    def __len__(self):
        return 1

    def raw(self, index):
        self.check_index(index)
        image = torch.full((3, *self.labels.shape), 51, dtype=torch.uint8)
        return RawSample(image, self.labels, id="street_7", parts=self.parts)


def test_sample_has_plain_tensors_of_the_promised_types():
    sample = Fixed([[0, 1], [255, 1]])[0]
    assert type(sample["image"]) is torch.Tensor
    assert type(sample["labels"]) is torch.Tensor
    assert sample["image"].dtype == torch.float32
    assert sample["labels"].dtype == torch.int64
    assert sample["image"].unique().tolist() == pytest.approx([0.2])
    assert (sample["index"], sample["id"]) == (0, "street_7")
    assert "parts" not in sample


def test_parts_travel_with_the_labels():
    parts = torch.tensor([[0, 3], [4, 0]])
    flip = lambda image, masks: (image.flip(-1), {k: m.flip(-1) for k, m in masks.items()})  # noqa: E731
    sample = Fixed([[0, 1], [1, 0]], parts, transform=flip)[0]
    assert sample["parts"].tolist() == [[3, 0], [0, 4]]
    assert sample["labels"].tolist() == [[1, 0], [0, 1]]


def test_wrong_label_names_sample_value_and_classes():
    with pytest.raises(ValueError, match=r"street_7.*\b7\b.*0 to 1.*255"):
        Fixed([[0, 7]])[0]
    with pytest.raises(ValueError, match="-1"):
        Fixed([[0, -1]])[0]


def test_another_ignore_index_is_legal_and_255_then_is_not():
    assert Fixed([[0, -1]], ignore_index=-1)[0]["labels"].tolist() == [[0, -1]]
    with pytest.raises(ValueError, match="255"):
        Fixed([[0, 255]], ignore_index=-1)[0]


def test_ignore_index_inside_the_classes():
    with pytest.raises(ValueError, match="ignore_index 1 is one of the 2 classes"):
        Fixed([[0]], ignore_index=1)
    with pytest.raises(ValueError, match="ignore_index 255 is one of the 300"):
        Fixed([[0]], class_names=[str(k) for k in range(300)])


def test_class_names_are_distinct_texts():
    with pytest.raises(ValueError, match="class_names has 'sky' twice, as names 1 and 3"):
        Fixed([[0]], class_names=["sky", "road", "sky"])
    for wrong in ("", "road\x1b[31m", "0\troad"):
        with pytest.raises(ValueError, match=r"class_names has .*, expected printable characters"):
            Fixed([[0]], class_names=["sky", wrong])
    # A set has no order.
    for wrong in ("sky", ["sky", 7], {"sky", "road"}):
        with pytest.raises(TypeError, match=r"class_names is .*sky.*, expected a list of names"):
            Fixed([[0]], class_names=wrong)


def test_no_classes_and_a_palette_that_does_not_fit():
    with pytest.raises(ValueError, match="one class or more"):
        Fixed([[0]], class_names=())
    with pytest.raises(ValueError, match=r"palette is .*expected 2 colours"):
        Fixed([[0]], palette=[(0, 0, 0)])


def test_with_transform_leaves_the_first_alone():
    dataset = Fixed([[0, 1]])
    black = dataset.with_transform(lambda image, masks: (image * 0.0, masks))
    assert black[0]["image"].max() == 0
    assert dataset[0]["image"].max() > 0
    assert dataset.transform is None


def test_iteration_and_index_end_where_the_data_does():
    dataset = Fixed([[0, 1]])
    assert len(list(dataset)) == 1
    for index in (1, -1):
        with pytest.raises(IndexError, match="goes from 0 to 0"):
            dataset[index]


def test_made_up_palette_is_distinct():
    palette = Fixed([[0]], class_names=[str(k) for k in range(60)]).palette
    assert len(set(palette)) == 60
    assert all(0 <= channel <= 255 for colour in palette for channel in colour)


def test_prediction_is_a_palette_image_by_default():
    dataset = Fixed([[0]], palette=[(1, 2, 3), (4, 5, 6)], ignore_index=-1)
    image = dataset.encode_prediction(torch.tensor([[0, 1, -1]], dtype=torch.int32))
    assert image.mode == "P"
    assert np.array(image).tolist() == [[0, 1, 255]]
    assert image.convert("RGB").getpixel((1, 0)) == (4, 5, 6)
    assert dataset.prediction_name("street_7") == "street_7.png"


def test_prediction_of_many_classes_has_sixteen_bits(tmp_path):
    dataset = Fixed([[0]], class_names=[str(k) for k in range(300)], ignore_index=-1)
    dataset.encode_prediction(torch.tensor([[0, 299, -1]])).save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 299, 65535]]


def test_wrong_predictions():
    dataset = Fixed([[0]])
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\).*one image"):
        dataset.encode_prediction(torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="labels of the prediction hold 7"):
        dataset.encode_prediction(torch.tensor([[7]]))
    with pytest.raises(TypeError, match="float32"):
        dataset.encode_prediction(torch.zeros(2, 2))


def test_a_sample_is_its_own_group():
    dataset = Fixed([[0, 1]])
    assert dataset.group(0) == 0
    assert dataset.with_transform(None).group_noun == "images"
    with pytest.raises(IndexError, match="goes from 0 to 0"):
        dataset.group(1)


def test_no_parts_unless_a_data_set_names_them():
    assert (Fixed([[0]]).part_names, Fixed([[0]]).part_class) == ((), ())


class Redrawn(Fixed):
    """A data set that redraws its sample once for each class below."""

    def raw_without_parts(self, index, class_index):
        raw = self.raw(index)
        for number in range(class_index):
            yield RawSample(raw.image + number, raw.labels, id=f"street_7-{number}")


def test_a_data_set_that_redraws_its_images_has_them_in_its_view():
    double = lambda image, masks: (2 * image, masks)  # noqa: E731
    dataset = Redrawn([[0, 1]], transform=double)
    assert dataset.redraws
    samples = list(dataset.without_parts(0, 2))
    assert [int(sample["image"].max()) for sample in samples] == [102, 104]
    assert [(sample["index"], sample["id"]) for sample in samples] == [
        (0, "street_7-0"),
        (0, "street_7-1"),
    ]
    [plain] = dataset.with_transform(None).without_parts(0, 1)
    assert float(plain["image"].max()) == pytest.approx(0.2)


def test_other_data_sets_do_not_redraw_their_images():
    dataset = Fixed([[0, 1]])
    assert not dataset.redraws
    with pytest.raises(ValueError, match=r"Fixed\(1 samples, 2 classes\) does not redraw"):
        dataset.without_parts(0, 1)
