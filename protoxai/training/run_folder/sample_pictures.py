"""Sample predictions: image, labels and prediction side by side."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from protoxai.data import SegmentationDataset
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.files import write_file

IMAGES = 4
BLEND = 0.6


def write_samples(model: Segmenter, data: SegmentationDataset, path: Path) -> None:
    """Write a picture with one row for each of a few images spread over the data.

    Args:
        model: Any model of the library.
        data: Data set with the evaluation transform.
        path: File of the PNG.
    """
    device = next(model.parameters()).device
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    rows = []
    count = min(IMAGES, len(data))
    for number in range(count):
        sample = data[number * len(data) // count]
        prediction = model.predict(sample["image"][None].to(device))[0].cpu()
        image = ((sample["image"] * std + mean).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        size = (image.shape[1], image.shape[0])
        labels = _coloured(sample["labels"], data).resize(size, Image.Resampling.NEAREST)
        predicted = Image.blend(Image.fromarray(image), _coloured(prediction, data), BLEND)
        rows.append(np.concatenate([image, np.asarray(labels), np.asarray(predicted)], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(padded)).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())


def _coloured(labels: Tensor, data: SegmentationDataset) -> Image.Image:
    colours = np.asarray([*data.palette, (0, 0, 0)], dtype=np.uint8)
    known = labels.where((labels >= 0) & (labels < data.num_classes), data.num_classes)
    return Image.fromarray(colours[known.numpy()])
