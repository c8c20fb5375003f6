import dataclasses
import json

import pytest

from protoxai.prototypes.provenance import Provenance

PROJECTED = Provenance(
    projected=True,
    image_index=3,
    image_id="street-3",
    row=1,
    col=2,
    grid=(5, 7),
    distance=0.1 + 0.2,
    patch=(8, 16, 17, 25),
    active_region=(0, 9, 20, 30),
)


@pytest.mark.parametrize("entry", [PROJECTED, Provenance(projected=False)])
def test_survives_json(entry: Provenance) -> None:
    text = json.dumps(entry.to_config(), allow_nan=False)
    assert Provenance.from_config(json.loads(text)) == entry


def test_what_never_occurred_knows_nothing() -> None:
    entry = dataclasses.asdict(Provenance(projected=False))
    assert entry.pop("projected") is False
    assert set(entry.values()) == {None}


def test_is_a_value() -> None:
    assert hash(PROJECTED) == hash(dataclasses.replace(PROJECTED))
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROJECTED.row = 0
