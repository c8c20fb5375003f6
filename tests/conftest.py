"""What every test stands on: one thread, one seed, each device, and the golden figures."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

torch.set_num_threads(1)

# Tests are not tasks of the job that runs them.
for variable in [name for name in os.environ if name.startswith("SLURM_")]:
    del os.environ[variable]

# A shell lets its background jobs ignore Ctrl-C; the tests send it to themselves and to others.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture
def _plugins_forgotten() -> Iterator[None]:
    """Modules of users' own that a test imports, and what they register, are gone afterwards."""
    # Here, so that tests of small parts do not load them.
    from protoxai.attribution import EXPLAINERS
    from protoxai.backbones import families
    from protoxai.data import DATASETS
    from protoxai.losses import criterion
    from protoxai.metrics.base import registry

    # All that is built in registers first, so that only the rest is removed again.
    registry.registered_metrics()
    for family in families.BUILT_IN:
        families.family_named(family)
    registries = (
        DATASETS,
        EXPLAINERS,
        criterion.TERMS,
        registry._REGISTERED,
        families._REGISTERED,
    )
    before = [set(registered) for registered in registries]
    modules = set(sys.modules)
    yield
    for registered, names in zip(registries, before, strict=True):
        for name in set(registered) - names:
            del registered[name]
    known = tuple(
        map(
            str,
            (Path(__file__).parent, GOLDEN.parents[1] / "protoxai", sys.prefix, sys.base_prefix),
        )
    )
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and not file.startswith(known):
            del sys.modules[name]
