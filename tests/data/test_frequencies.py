import numpy as np
import pytest

from protoxai.data import FolderDataset, Shapes, class_frequencies


def test_share_of_labelled_pixels(write_pair):
    write_pair("a", np.array([[0, 0, 1, 255]]))
    root = write_pair("b", np.array([[0, 255, 255, 255]]))
    frequencies = class_frequencies(FolderDataset(root, num_classes=3))
    assert frequencies.tolist() == [0.75, 0.25, 0.0]


def test_limit_spreads_over_the_data(write_pair):
    for stem, label in zip("abcd", (0, 1, 2, 3), strict=True):
        root = write_pair(stem, np.full((2, 2), label))
    dataset = FolderDataset(root, num_classes=4)
    assert class_frequencies(dataset, limit=2).tolist() == [0.5, 0, 0.5, 0]
    assert class_frequencies(dataset, limit=99).tolist() == [0.25] * 4


def test_errors(write_pair):
    with pytest.raises(ValueError, match="limit is 0"):
        class_frequencies(Shapes(size=32), limit=0)
    root = write_pair("a", np.full((2, 2), 255))
    with pytest.raises(ValueError, match="no labelled pixel"):
        class_frequencies(FolderDataset(root, num_classes=2))
    root = write_pair("a", np.full((2, 2), 9))
    with pytest.raises(ValueError, match="9"):
        class_frequencies(FolderDataset(root, num_classes=2))
