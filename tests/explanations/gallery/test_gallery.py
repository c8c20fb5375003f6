import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

from protoxai import PrototypeTable, ScaleProtoSeg, gallery
from protoxai.explanations.figures.marks import NO_PICTURE
from protoxai.explanations.gallery import Gallery
from tests.explanations.cases import block_model
from tests.explanations.figures.reading import check_layout, drawn, pictures, texts, words
from tests.explanations.gallery.test_neighbours import Blocks

HOSTILE = (
    "$x_{ <script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>" * 9,
    "道\U0001f600אב",
)


def shown(*, data: bool = False, grouped: bool = True, projected: bool = True) -> Gallery:
    model = block_model(projected=projected).float()
    if grouped:
        model.group(2)
    return gallery(model, Blocks(4) if data else None)


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_the_figure_of_a_class(grouped: bool, data: bool) -> None:
    own = shown(grouped=grouped, data=data)
    for each in own.classes:
        figure = own.figure(each.class_index)
        members = sum(len(group.members) for group in each.groups)
        nearest = 0
        if own.neighbours:
            nearest = sum(len(own.neighbours.patches[index]) for index in each.in_use)
        assert len(pictures(figure)) == len(each.in_use) + members + nearest
        named = [int(n) for n in re.findall(r"prototype (\d+)", words(figure))]
        assert sorted(named) == sorted(each.in_use)
        for group in each.groups:
            assert f"Group {group.number} =" in texts(figure)
        check_layout(figure)
        assert drawn(figure).std() > 0.02


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_the_overview_has_a_row_for_each_class(width: float) -> None:
    own = shown()
    figure = own.figure(width=width)
    for each in own.classes:
        assert texts(figure).count(each.name) == 1
        assert f"{len(each.in_use)} of {each.prototypes}" in texts(figure)
    check_layout(figure)


def test_a_figure_for_each_class_with_prototypes() -> None:
    model = block_model(PrototypeTable([0, 2], [0, 1], 3, 2), projected=False)
    own = gallery(model)
    assert len(own.figures()) == 3
    assert "road: 0 of 0 prototypes in use" in own.to_text()


def test_text() -> None:
    own = shown()
    lines = own.to_text().splitlines()
    assert str(own) == own.to_text()
    for each in own.classes:
        assert any(line.startswith(f"{each.name}: {len(each.in_use)} of ") for line in lines)
    first = own.classes[0].groups[0]
    members = ", ".join(f"{weight:.2f} of {index}" for index, weight in first.members)
    assert f"  group 1: {members}" in lines
    assert "group 0" not in own.to_text()
    assert "scale 0" not in own.to_text()


@pytest.mark.parametrize("data", [True, False])
def test_the_page_holds_every_picture_and_loads_nothing(data: bool) -> None:
    own = shown(data=data)
    tags = Tags(own.to_html()).found
    sources = [str(attributes["src"]) for tag, attributes in tags if tag == "img"]
    members = sum(len(group.members) for each in own.classes for group in each.groups)
    in_use = sum(len(each.in_use) for each in own.classes)
    nearest = sum(map(len, own.neighbours.patches.values())) if own.neighbours else 0
    assert len(sources) == in_use + members + nearest
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in tags)
    assert all("style" not in attributes for _, attributes in tags)
    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")


@pytest.mark.parametrize("suffix", [".html", ".pdf", ".png", ".svg"])
def test_saved_by_suffix(suffix: str, tmp_path: Path) -> None:
    own, path = shown(), tmp_path / f"gallery{suffix}"
    own.save(path)
    content = path.read_bytes()
    starts = {".html": b"<!doctype", ".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}
    assert content.startswith(starts[suffix])
    if suffix == ".pdf":
        assert len(re.findall(rb"/Type /Page\b", content)) == 1 + len(own.classes)
        assert b"/Type3" not in content
    if suffix == ".svg":
        assert all(name in content.decode() for name in ("sky", "road", "tree"))
    with pytest.raises(ValueError, match=r"\.gif"):
        own.save(tmp_path / "gallery.gif")


def test_without_pictures_it_says_so() -> None:
    own = shown(projected=False)
    in_use = sum(len(each.in_use) for each in own.classes)
    assert own.to_html().count(NO_PICTURE) >= in_use
    assert NO_PICTURE in words(own.figure(0))


def test_hostile_names_are_text(tmp_path: Path) -> None:
    own = shown(data=True)
    classes = tuple(
        replace(each, name=name) for each, name in zip(own.classes, HOSTILE, strict=True)
    )
    own = replace(own, classes=classes, title="<b>$x_{")
    page = own.to_html()
    tags = {tag for tag, _ in Tags(page).found}
    assert not tags & {"script", "b"}
    assert not any("onerror" in attributes for _, attributes in Tags(page).found)
    assert "&lt;script&gt;" in page
    assert not {tag for tag, _ in Tags(own._repr_html_()).found} & {"script", "b", "img"}
    own.save(tmp_path / "gallery.svg")
    assert "&lt;script&gt;" in (tmp_path / "gallery.svg").read_text()
    for figure in own.figures(width=3.4):
        check_layout(figure)


def test_too_many_classes_for_one_picture(tmp_path: Path) -> None:
    own = shown()
    many = replace(own, classes=own.classes * 100)
    with pytest.raises(ValueError, match=r"\.html or \.pdf"):
        many.save(tmp_path / "gallery.png")


def test_1800_prototypes() -> None:
    table = PrototypeTable.regular(num_classes=150, num_scales=4, per_scale=3)
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 8, stride=8), 150, table=table, prototype_dim=4)
    start = time.perf_counter()
    own = gallery(model.group(3))
    page = own.to_html()
    assert time.perf_counter() - start < 60
    assert page.count('class="large') == len({i for each in own.classes for i in each.in_use})
    assert torch.isfinite(torch.tensor([each.scale_mass for each in own.classes])).all()
    check_layout(own.figure(7))
