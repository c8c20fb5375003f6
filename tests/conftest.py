"""What every test stands on: one thread, one seed, each device, and the golden figures."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

torch.set_num_threads(1)

# The first example pays for imports and caches, so a deadline would only measure those.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """`golden("even")` gives the figures of `tests/golden/even.npz` by name, fresh at each call."""

    def load(name: str) -> dict[str, Tensor]:
        with np.load(GOLDEN / f"{name}.npz") as figures:
            return {key: torch.from_numpy(np.array(figures[key])) for key in figures.files}

    return load
