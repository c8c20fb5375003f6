import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import ScaleSpectrum, scale_spectrum


def test_by_hand_of_two_bands() -> None:
    # A wave with a period of two pixels: away from the border, halving leaves its mean, 0.
    attribution = torch.tensor([0.0, 2.0]).repeat(32).expand(1, 64, 64)
    finest, coarsest = scale_spectrum(attribution, bands=2)[0].tolist()
    assert finest == pytest.approx(1, abs=0.05)
    assert coarsest == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("columns", "energies", "share"),
    [
        # Without their mean, the columns are -2, -2, 2, 2: smoothed -2, -1, 1, 2, halved -1.5, 1.5
        # and resized -1.5, -0.75, 0.75, 1.5. So the finer band has 0.5 and 1.25, both squared.
        ((1.0, 1.0, 5.0, 5.0), (0.90625, 2.25), 0.287128),
        # -1, 1, -1, 1 are smoothed to -0.5, 0, 0, 0.5, and halved to -0.25, 0.25, which are resized
        # to -0.25, -0.125, 0.125, 0.25.
        ((0.0, 2.0, 0.0, 2.0), (0.9140625, 0.0625), 0.064),
    ],
)
def test_four_columns_by_hand(
    columns: tuple[float, ...], energies: tuple[float, float], share: float
) -> None:
    attribution = torch.tensor(columns).expand(1, 4, 4)
    assert scale_spectrum(attribution, bands=2)[0].tolist() == pytest.approx(energies)
    for turned in (attribution, attribution.mT):
        metric = ScaleSpectrum(bands=2)
        metric.update(turned)
        entropy = -sum(p * math.log2(p) for p in (share, 1 - share))
        assert float(metric.compute()) == pytest.approx(entropy, abs=1e-5)


def test_a_mixture_has_many_scales() -> None:
    # Noise at each size, weighted so that no band prevails.
    waves = [
        F.interpolate(torch.randn(1, 1, 2**k, 2**k), 64, mode="nearest")[:, 0] for k in range(7)
    ]
    mixture = ScaleSpectrum()
    mixture.update(torch.stack(waves).sum(0))
    assert float(mixture.compute()) > 0.7
    assert ScaleSpectrum.higher_is_better is None


def test_noise_is_fine_and_blobs_are_coarse() -> None:
    noise = scale_spectrum(torch.randn(1, 64, 64))[0]
    blobs = scale_spectrum(
        F.interpolate(torch.randn(1, 1, 4, 4), 64, mode="bilinear", align_corners=False)[:, 0]
    )[0]
    assert noise.argmax() == 0
    assert blobs.argmax() == 4
    assert (noise[:-1] > noise[1:]).all()


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_constant_map_is_undefined(value: float) -> None:
    metric = ScaleSpectrum()
    metric.update(torch.full((1, 37, 41), value))
    assert metric.compute().undefined == 1


@given(st.floats(-1000, 1000), st.integers(0, 2**31))
def test_the_mean_does_not_matter(added: float, seed: int) -> None:
    maps = torch.randn(2, 16, 19, generator=torch.Generator().manual_seed(seed)).double()
    torch.testing.assert_close(scale_spectrum(maps + added), scale_spectrum(maps))


@given(st.floats(0.01, 100), st.integers(16, 23), st.integers(16, 23), st.integers(0, 2**31))
def test_neither_factor_nor_flip_matters(factor: float, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(1, height, width, generator=generator, dtype=torch.float64)
    one, other = scale_spectrum(maps), scale_spectrum(factor * maps.flip(1, 2))
    torch.testing.assert_close(other, factor**2 * one)


@pytest.mark.parametrize(("bands", "side"), [(5, 15), (6, 31)])
def test_bands_that_do_not_fit_are_named(bands: int, side: int) -> None:
    with pytest.raises(ValueError, match=f"got {bands} bands for .* \\({side}, {side}\\)"):
        scale_spectrum(torch.rand(1, side, side), bands)


def test_entropy_is_divided_by_that_of_even_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "protoxai.metrics.explanation.scale_spectrum.scale_spectrum",
        lambda maps, bands: torch.tensor([[1.0, 1, 0]]),
    )
    metric = ScaleSpectrum(bands=3)
    metric.update(torch.ones(1, 8, 8))
    assert float(metric.compute()) == pytest.approx(math.log(2) / math.log(3))
