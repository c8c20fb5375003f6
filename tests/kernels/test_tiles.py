import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.kernels import tiles
from protoxai.kernels.tiles import Tiling, Workspace


@given(
    st.integers(0, 4), st.integers(0, 9), st.integers(1, 5), st.integers(1, 10), st.integers(1, 5)
)
def test_every_pixel_of_every_image_is_in_one_tile(
    batch: int, pixels: int, images: int, span: int, rows: int
) -> None:
    times = torch.zeros(batch, pixels, dtype=torch.long)
    for tile in Tiling(batch, pixels, images, span, rows):
        part = times[tile]
        assert 0 < part.shape[0] <= images
        assert 0 < part.shape[1] <= span
        part += 1
    assert (times == 1).all()


def test_tiles_go_through_an_image_before_the_next() -> None:
    assert list(Tiling(batch=3, pixels=5, images=2, span=3, rows=1)) == [
        (slice(0, 2), slice(0, 3)),
        (slice(0, 2), slice(3, 6)),
        (slice(2, 4), slice(0, 3)),
        (slice(2, 4), slice(3, 6)),
    ]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_tile_of_a_cpu_is_a_megabyte_for_each_thread(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    tiling = Tiling.of(torch.empty(3, 7, 2, 10_000, device="cpu"))
    assert (tiling.batch, tiling.pixels) == (3, 10_000)
    assert tiling.images * tiling.span * tiling.rows * 4 == threads * 2**20


@pytest.mark.parametrize(("batch", "pixels"), [(1, 1), (3, 7), (2, 4096), (8, 1 << 24)])
def test_a_tile_of_another_device_is_as_many_rows_of_the_batch_as_it_holds(
    batch: int, pixels: int
) -> None:
    tiling = Tiling.of(torch.empty(batch, 5, pixels, device="meta"))
    assert list(tiling) == [(slice(0, batch), slice(0, pixels))]
    row = batch * pixels
    assert tiling.rows >= 1
    assert tiling.rows * row <= max(tiles.DEVICE_ELEMENTS, row)
    assert (tiling.rows + 1) * row > tiles.DEVICE_ELEMENTS


@pytest.mark.parametrize("pixels", [1, 1000, 1 << 16, 1 << 22])
def test_whole_maps_are_about_as_much(pixels: int) -> None:
    tiling = Tiling.of_whole_maps(torch.empty(1, 1).expand(3, pixels))
    assert list(tiling) == [(slice(image, image + 1), slice(0, pixels)) for image in range(3)]
    assert tiling.rows >= tiles.LEAST_ROWS
    assert tiling.rows * pixels * 4 <= max(2 * 2**20, tiles.LEAST_ROWS * pixels * 4)
    assert (tiling.rows + 1) * pixels * 4 > 2 * 2**20


def test_whole_maps_of_another_device_are_its_tiles() -> None:
    maps = torch.empty(3, 7, 100, device="meta")
    assert Tiling.of_whole_maps(maps) == Tiling.of(maps)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 3, 0)])
def test_maps_of_nothing_have_no_tile(device: str, shape: tuple[int, ...]) -> None:
    maps = torch.empty(shape, device=device)
    assert list(Tiling.of(maps)) == []
    assert list(Tiling.of_whole_maps(maps)) == []


def test_a_workspace_hands_out_the_same_memory_again() -> None:
    workspace = Workspace(torch.zeros(0, dtype=torch.float64))
    first = workspace.take("a", 2, 3)
    assert (first.shape, first.dtype) == ((2, 3), torch.float64)
    assert workspace.take("a", 3, 1).data_ptr() == first.data_ptr()
    assert workspace.take("b", 2, 3).data_ptr() != first.data_ptr()
    larger = workspace.take("a", 4, 5)
    assert (larger.shape, larger.is_contiguous()) == ((4, 5), True)
