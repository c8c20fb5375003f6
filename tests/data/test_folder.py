import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data import FolderDataset, paired

LABELS = np.array([[0, 1, 2], [2, 1, 255]])
EXPECTED = [[0, 1, 2], [2, 1, 255]]


def test_pairs_by_stem_in_order(write_pair):
    write_pair("b", LABELS * 0)
    root = write_pair("a", LABELS)
    dataset = FolderDataset(root, num_classes=3)
    assert [dataset[i]["id"] for i in range(len(dataset))] == ["a", "b"]
    assert dataset[0]["labels"].tolist() == EXPECTED
    assert dataset.class_names == ("class 0", "class 1", "class 2")
    raw = dataset.raw(0)
    assert raw.image.dtype == torch.uint8
    assert raw.image[0].tolist() == (LABELS * 20 % 256).tolist()


def test_split_is_a_subfolder(write_pair):
    write_pair("a", LABELS, folder="train")
    root = write_pair("b", LABELS, folder="val")
    assert FolderDataset(root, "val", num_classes=3)[0]["id"] == "b"


def test_palette_png_is_read_as_indices(write_pair):
    root = write_pair("a", LABELS)
    image = Image.fromarray(LABELS.astype(np.uint8), mode=None).convert("L")
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200] + [0] * (253 * 3))
    assert image.mode == "P"
    image.save(root / "labels" / "a.png")
    assert FolderDataset(root, num_classes=3)[0]["labels"].tolist() == EXPECTED


def test_sixteen_bits_hold_more_than_255_classes(write_pair):
    root = write_pair("a", LABELS)
    wide = np.array([[0, 255, 299], [65535, 256, 1]], dtype=np.uint16)
    Image.fromarray(wide).save(root / "labels" / "a.png")
    dataset = FolderDataset(root, num_classes=300, void=65535, ignore_index=-1)
    assert dataset[0]["labels"].tolist() == [[0, 255, 299], [-1, 256, 1]]


def test_black_and_white_png_has_classes_zero_and_one(write_pair):
    root = write_pair("a", LABELS)
    Image.fromarray(np.array([[True, False, True], [False, False, True]])).save(
        root / "labels" / "a.png"
    )
    dataset = FolderDataset(root, num_classes=2)
    assert dataset[0]["labels"].tolist() == [[1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "bmp", "tif"])
def test_image_formats(write_pair, suffix):
    root = write_pair("a", LABELS)
    (root / "images" / "a.png").unlink()
    Image.new("L", (3, 2), color=90).save(root / "images" / f"a.{suffix}")
    assert FolderDataset(root, num_classes=3).raw(0).image.unique().tolist() == [90]


def test_class_names_from_the_file_or_given(write_pair):
    root = write_pair("a", LABELS)
    with pytest.raises(ValueError, match=r"give class_names or num_classes.*classes\.txt"):
        FolderDataset(root)
    (root / "classes.txt").write_text("sky\nroad \n\nbüsche\n", encoding="utf-8")
    assert FolderDataset(root).class_names == ("sky", "road", "büsche")
    assert FolderDataset(root, class_names=["x", "y", "z"]).class_names == ("x", "y", "z")
    with pytest.raises(ValueError, match="num_classes=4, but there are 3 class_names"):
        FolderDataset(root, class_names=["x", "y", "z"], num_classes=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\ufeffsky\nroad\nsky\n", r"classes\.txt has 'sky' twice, as names 1 and 3"),
        ("# two classes\nsky\nroad\n", r"classes\.txt has the line '# two classes', expected"),
        ("\n \n", r"classes\.txt is empty"),
    ],
)
def test_wrong_list_of_classes(write_pair, content, message):
    root = write_pair("a", LABELS)
    (root / "classes.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        FolderDataset(root)


def test_class_names_with_byte_order_mark_dots_and_spaces(write_pair):
    root = write_pair("a", LABELS)
    (root / "classes.txt").write_bytes("\ufeffsky\r\nroad no. 1\r\nfurther road\r\n".encode())
    assert FolderDataset(root).class_names == ("sky", "road no. 1", "further road")


def test_file_names_with_dots_and_spaces(write_pair):
    for stem in ("a.1", "a.2", "a b.c d"):
        root = write_pair(stem, LABELS)
    assert FolderDataset(root, num_classes=3).ids == ["a b.c d", "a.1", "a.2"]


def test_root_is_expanded(write_pair, monkeypatch):
    root = write_pair("a", LABELS)
    monkeypatch.setenv("SCANS", str(root.parent))
    assert FolderDataset(f"$SCANS/{root.name}", num_classes=3).root == root
    with pytest.raises(ValueError, match="no environment variable NO_SUCH"):
        FolderDataset("$NO_SUCH", num_classes=3)


@pytest.mark.parametrize("num_classes", [0, -1, 2.5])
def test_wrong_number_of_classes(write_pair, num_classes):
    with pytest.raises(ValueError, match=r"num_classes is .*expected a whole number"):
        FolderDataset(write_pair("a", LABELS), num_classes=num_classes)


def test_void_becomes_the_ignore_index(write_pair):
    root = write_pair("a", LABELS)
    with pytest.raises(ValueError, match="void=2 is one of the 3 classes"):
        FolderDataset(root, num_classes=3, void=2)
    for void in ([2, 255], (255, 2)):
        labels = FolderDataset(root, num_classes=2, void=void)[0]["labels"]
        assert labels.tolist() == [[0, 1, 255], [255, 1, 255]]


def test_the_ignore_index_in_a_file_is_void_or_an_error(write_pair):
    root = write_pair("street", LABELS)
    with pytest.raises(ValueError, match=r"street\.png.*holds the value 255.*void=\[2, 255\]"):
        FolderDataset(root, num_classes=2, void=2)[0]
    labels = FolderDataset(root, num_classes=3, void=255, ignore_index=-1)[0]["labels"]
    assert labels.tolist() == [[0, 1, 2], [2, 1, -1]]


def test_wrong_label_value(write_pair):
    root = write_pair("street", LABELS)
    with pytest.raises(ValueError, match=r"street hold.* 2; expected classes 0 to 1"):
        FolderDataset(root, num_classes=2)[0]


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"images does not exist"):
        FolderDataset(tmp_path, num_classes=2)


def test_empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(ValueError, match=r"no \.jpg.* file in .*images"):
        FolderDataset(tmp_path, num_classes=2)


@pytest.mark.parametrize(("gone", "kept"), [("images", "labels"), ("labels", "images")])
def test_unpaired_file(write_pair, gone, kept):
    write_pair("a", LABELS)
    root = write_pair("lonely", LABELS)
    (root / gone / "lonely.png").unlink()
    with pytest.raises(ValueError, match=rf"1 file.* without a partner .*{gone}: lonely\.png"):
        FolderDataset(root, num_classes=3)
    assert (root / kept / "lonely.png").exists()


def test_two_images_of_one_stem(write_pair):
    root = write_pair("a", LABELS)
    Image.new("RGB", (3, 2)).save(root / "images" / "a.jpg")
    with pytest.raises(ValueError, match=r"same stem.*a\.jpg and a\.png"):
        FolderDataset(root, num_classes=3)


def test_sizes_that_differ(write_pair):
    root = write_pair("a", LABELS)
    Image.new("RGB", (5, 4)).save(root / "images" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is 5x4 pixels.*a\.png 3x2"):
        FolderDataset(root, num_classes=3)[0]


@pytest.mark.parametrize("content", [b"no image at all", None])
def test_unreadable_file(write_pair, content):
    root = write_pair("a", LABELS.repeat(40, 0).repeat(40, 1))
    path = root / "images" / "a.png"
    path.write_bytes(content or path.read_bytes()[:90])
    with pytest.raises(ValueError, match=r"images.a\.png cannot be read"):
        FolderDataset(root, num_classes=3)[0]


def test_colour_labels_and_deep_images(write_pair):
    root = write_pair("a", LABELS)
    Image.new("RGB", (3, 2)).save(root / "labels" / "a.png")
    with pytest.raises(ValueError, match="mode RGB, expected one channel"):
        FolderDataset(root, num_classes=3)[0]
    Image.fromarray(np.zeros((2, 3), dtype=np.uint16)).save(root / "images" / "a.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        FolderDataset(root, num_classes=3)[0]


@pytest.mark.parametrize(("cache", "reads"), [(True, 1), (False, 3)])
def test_cache_is_shared_by_views_and_never_written(write_pair, monkeypatch, cache, reads):
    read_paths = []
    read = paired.read_oriented
    monkeypatch.setattr(paired, "read_oriented", lambda path: read_paths.append(path) or read(path))
    dataset = FolderDataset(write_pair("a", LABELS), num_classes=3, cache=cache)
    dataset[0]["labels"].fill_(1)
    view = dataset.with_transform(lambda image, masks: (image * 0.0, masks))
    assert view[0]["labels"].tolist() == EXPECTED
    assert dataset[0]["labels"].tolist() == EXPECTED
    assert len(read_paths) == reads


def test_num_classes_and_the_list_of_classes_agree(write_pair):
    root = write_pair("a", LABELS)
    (root / "classes.txt").write_text("sky\nroad\ntree\n", encoding="utf-8")
    assert FolderDataset(root, num_classes=3).class_names == ("sky", "road", "tree")
    with pytest.raises(ValueError, match=r"num_classes=2, but there are 3 names in .*classes\.txt"):
        FolderDataset(root, num_classes=2)


def test_a_split_is_a_name(write_pair):
    with pytest.raises(TypeError, match=r"split is 5 .*expected a str"):
        FolderDataset(write_pair("a", LABELS), 5, num_classes=3)
