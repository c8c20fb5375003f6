"""Tiny data sets in their official layouts, file for file as the real ones.

Every builder writes a training and a validation split (``images`` samples each, where the layout
has such a choice) below ``root`` and returns what to give the data set class as its root. Colours
follow the classes, so that a model can learn something from them.
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from protoxai.data.palette import bit_palette

Size = tuple[int, int]
Box = tuple[int, slice, slice]

COLOURS = np.random.default_rng(7).integers(0, 256, (256, 3))
VOID = 255


def make_pascal_voc(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """VOC2012 with train, val, test, half as many augmented images, and Pascal-Part."""
    folder = root / "VOCdevkit" / "VOC2012"
    order = [15, 7, *(k for k in range(1, 21) if k not in (7, 15))]
    lists = {
        split: [f"2007_{start + k:06d}" for k in range(count)]
        for split, start, count in (
            ("train", 100, images),
            ("val", 200, images),
            ("test", 300, 1),
            ("aug", 400, max(1, images // 2)),
        )
    }
    for split, ids in lists.items():
        for number, name in enumerate(ids):
            labels, boxes = draw_labels(number, size, order, ground=0)
            save_jpeg(folder / "JPEGImages" / f"{name}.jpg", labels)
            bordered = with_borders(labels, boxes)
            if split in ("train", "val"):
                save_palette(folder / "SegmentationClass" / f"{name}.png", bordered)
            if split in ("train", "aug"):
                save_grey(folder / "SegmentationClassAug" / f"{name}.png", labels)
            if split in ("train", "val"):
                save_parts(folder / "Annotations_Part" / f"{name}.mat", name, size, boxes)
    lists["trainval"] = lists["train"] + lists["val"]
    lists["trainaug"] = lists["train"] + lists.pop("aug")
    for split, ids in lists.items():
        save_list(folder / "ImageSets" / "Segmentation" / f"{split}.txt", ids)
    return root


def make_sbd(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """SBD's benchmark_RELEASE/dataset with labels in MATLAB files."""
    folder = root / "benchmark_RELEASE" / "dataset"
    (folder / "cls").mkdir(parents=True)
    lists = {
        split: [f"2008_{start + k:06d}" for k in range(images)]
        for split, start in (("train", 100), ("val", 200))
    }
    for split, ids in lists.items():
        for number, name in enumerate(ids):
            labels, _ = draw_labels(number, size, range(1, 21), ground=0)
            save_jpeg(folder / "img" / f"{name}.jpg", labels)
            classes = np.unique(labels[labels > 0])[:, None]
            content = {"Segmentation": labels, "CategoriesPresent": classes}
            savemat(folder / "cls" / f"{name}.mat", {"GTcls": structs([content])})
        save_list(folder / f"{split}.txt", ids)
    return root


def make_cityscapes(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """leftImg8bit, gtFine (with the files nobody asks for) and gtFinePanopticParts."""
    known = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    order = [26, 24, 4, *(label for label in known if label not in (24, 26))]
    cities = {"train": ("bremen", "aachen"), "val": ("frankfurt",), "test": ("berlin",)}
    for split, names in cities.items():
        for number in range(images):
            city = names[number % len(names)]
            stem = f"{city}_{number:06d}_000019"
            labels, boxes = draw_labels(number, size, order, ground=7)
            save_png(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", labels)
            truth = root / "gtFine" / split / city
            shown = np.zeros_like(labels) if split == "test" else labels
            save_grey(truth / f"{stem}_gtFine_labelIds.png", shown)
            save_png(truth / f"{stem}_gtFine_color.png", shown)
            if split != "test":
                uids = panoptic_uids(labels, boxes)
                parts = root / "gtFinePanopticParts" / split / city
                save_grey(parts / f"{stem}_gtFinePanopticParts.tif", uids)
    return root


def make_ade20k(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """ADEChallengeData2016; 0 is what belongs to no class."""
    folder = root / "ADEChallengeData2016"
    for split, short in (("training", "train"), ("validation", "val"), ("testing", "test")):
        for number in range(images):
            name = f"ADE_{short}_{number + 1:08d}"
            labels, _ = draw_labels(number, size, [0, 150, *range(2, 150)], ground=1)
            save_jpeg(folder / "images" / split / f"{name}.jpg", labels)
            if split != "testing":
                save_grey(folder / "annotations" / split / f"{name}.png", labels)
    return root


def make_coco_stuff(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """Images and stuff-thing maps, and beside them the recoded maps that other tools leave."""
    for split, start in (("train2017", 9), ("val2017", 139)):
        for number in range(images):
            name = f"{start + number:012d}"
            labels, _ = draw_labels(number, size, [VOID, 181, *range(181)], ground=156)
            save_jpeg(root / "images" / split / f"{name}.jpg", labels)
            save_grey(root / "annotations" / split / f"{name}.png", labels)
            save_grey(root / "annotations" / split / f"{name}_labelTrainIds.png", labels // 2)
    return root


def make_em(root: Path, images: int = 4, size: Size = (64, 64)) -> Path:
    """The three stacks; as many training slices as asked for, and a quarter of them on top."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = [
        np.where(draw_labels(number, size, [1], ground=0)[0] > 0, 255, 0).astype(np.uint8)
        for number in range(images + max(1, images // 4))
    ]
    slices = [noisy(rng, 60 + label // 2) for label in labels]
    save_stack(root / "train-volume.tif", slices)
    save_stack(root / "train-labels.tif", labels)
    save_stack(root / "test-volume.tif", slices[:2])
    return root


def make_camvid(root: Path, images: int = 4, size: Size = (60, 80)) -> Path:
    """The layout of the usual download; 11 is unlabelled."""
    for split in ("train", "val", "test"):
        for number in range(images):
            name = f"0001TP_{number:06d}.png"
            labels, _ = draw_labels(number, size, [*range(1, 12)], ground=0)
            save_png(root / split / name, labels)
            save_grey(root / f"{split}annot" / name, labels)
    return root


def draw_labels(
    number: int, size: Size, classes: Sequence[int], ground: int
) -> tuple[np.ndarray, list[Box]]:
    """Four rectangles on a ground, their classes in turn over the pictures; and the rectangles."""
    height, width = size
    labels = np.full(size, ground, dtype=np.uint8)
    boxes = []
    for quarter in range(4):
        label = classes[(4 * number + quarter) % len(classes)]
        top, left = (quarter // 2) * height // 2, (quarter % 2) * width // 2
        rows = slice(top + height // 12, top + height // 2 - height // 12)
        columns = slice(left + width // 10, left + width // 2 - number % 3)
        labels[rows, columns] = label
        boxes.append((label, rows, columns))
    return labels, boxes


def with_borders(labels: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """The labels with a void line around each rectangle."""
    bordered = labels.copy()
    for _, rows, columns in boxes:
        bordered[rows.start, columns] = bordered[rows.stop - 1, columns] = VOID
        bordered[rows, columns.start] = bordered[rows, columns.stop - 1] = VOID
    return bordered


def halves(box: Box) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The upper and the lower half of a rectangle."""
    _, rows, columns = box
    middle = (rows.start + rows.stop) // 2
    return (slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)


def panoptic_uids(labels: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Class, class-instance and class-instance-part numbers: 7, 24001, 2600102."""
    uids = labels.astype(np.int32)
    for instance, box in enumerate(boxes, 1):
        label, rows, columns = box
        if label in (24, 25, 26, 27, 28):
            uids[rows, columns] = label * 1000 + instance
            for part, half in enumerate(halves(box), 1):
                uids[half] = (label * 1000 + instance) * 100 + part
    return uids


def save_parts(path: Path, name: str, size: Size, boxes: Sequence[Box]) -> None:
    """Pascal-Part: persons are head over torso, cars two wheels over a front side."""
    objects = []
    for box in boxes:
        label, rows, columns = box
        whole = np.zeros(size, dtype=np.uint8)
        whole[rows, columns] = 1
        known = {15: ("person", ("head", "torso")), 7: ("car", ("wheel_2", "frontside"))}
        title, codes = known.get(label, ("boat", ()))
        parts = []
        for code, half in zip(codes, halves(box), strict=False):
            mask = np.zeros(size, dtype=np.uint8)
            mask[half] = 1
            parts.append({"part_name": code, "mask": mask})
        objects.append(
            {
                "class": title,
                "class_ind": label,
                "mask": whole,
                "parts": structs(parts) if parts else np.zeros((0, 0)),
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"anno": structs([{"imname": name, "objects": structs(objects)}])})


def structs(records: Sequence[dict]) -> np.ndarray:
    """A MATLAB structure array, (1, n)."""
    array = np.empty((1, len(records)), dtype=[(key, object) for key in records[0]])
    for position, record in enumerate(records):
        for key, value in record.items():
            array[key][0, position] = value
    return array


def noisy(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """The values with some noise, as 8 bits."""
    return (values + rng.integers(-15, 16, values.shape)).clip(0, 255).astype(np.uint8)


def coloured(labels: np.ndarray) -> Image.Image:
    """A picture of the labels: a colour a class, with noise."""
    return Image.fromarray(noisy(np.random.default_rng(int(labels.sum())), COLOURS[labels]))


def save_jpeg(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coloured(labels).save(path, quality=95)


def save_png(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coloured(labels).save(path)


def save_grey(path: Path, values: np.ndarray) -> None:
    """One channel of 8, 16 or 32 bits, by the type of the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def save_palette(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette([channel for colour in bit_palette(256) for channel in colour])
    image.save(path)


def save_tagged(path: Path, values: np.ndarray, orientation: int) -> None:
    """An image or label map with an EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(values).save(path, exif=exif)


def save_raw_png(path: Path, values: np.ndarray, bits: int, *, palette: bool = False) -> None:
    """A PNG of 1 to 16 bits per channel: grey (H, W), palette, or 2 to 4 channels (H, W, C)."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    kind = 3 if palette else {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    shifts = np.arange(bits - 1, -1, -1)
    binary = (values.reshape(len(values), -1, 1).astype(np.int64) >> shifts) & 1
    rows = np.packbits(binary.reshape(len(values), -1).astype(np.uint8), axis=1)
    height, width = values.shape[:2]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)),
        *([(b"PLTE", bytes(3 * 2**bits))] if palette else []),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        (b"IEND", b""),
    ]
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def save_stack(path: Path, slices: Sequence[np.ndarray]) -> None:
    first, *others = (Image.fromarray(values) for values in slices)
    first.save(path, save_all=True, append_images=others)


def save_list(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
