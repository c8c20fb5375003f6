"""Commands in two processes, as torchrun and srun start them: what is shared, and who writes."""

import contextlib
import io
import json
import os
import re
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from protoxai.cli.main import main
from tests.cli.models import saved_run
from tests.cli.test_report import payload

COMPARE = ["--methods", "prototypes", "Saliency", "--metrics", "sparseness", "pointing_game"]
PORTS = 5


def commands(folder: Path, output: Path) -> list[list[str]]:
    """Commands whose output, but that of the comparison, is in a folder of each process."""
    run, images = str(folder / "run"), str(folder / "images")
    compare = ["compare", run, *COMPARE, "--tasks", "2", "--output", str(folder / "compared")]
    return [
        compare,
        ["report", run, "--output", str(output / "report.html"), "--images", "1"],
        ["predict", run, images, "--output", str(output / "predicted")],
        ["explain", run, f"{images}/0.png", "--output", str(output / "explanation.html")],
        ["prototypes", run, "--output", str(output / "prototypes.json")],
    ]


def process(number: int, folder: Path, ports: list[int]) -> None:
    """Run the commands in one of two processes, and write what they print."""
    torch.set_num_threads(1)
    variables = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({name: str(value) for name, value in variables.items()})
    printed = {}
    for port, command in zip(ports, commands(folder, folder / str(number)), strict=True):
        os.environ["MASTER_PORT"] = str(port)
        with contextlib.redirect_stdout(io.StringIO()) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(command) == 0
        printed[command[0]] = stream.getvalue().splitlines()
    (folder / f"{number}.json").write_text(json.dumps(printed))


def figures(output: Path) -> list[Any]:
    """What a comparison measured, without its times."""
    results = json.loads((output / "comparison.json").read_text(encoding="utf-8"))["results"]
    return [{name: each[name] for name in each if name != "seconds"} for each in results]


def files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths)


@pytest.mark.slow
def test_two_processes_share_a_command_or_leave_it_to_the_first(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no pixel has class.*")
        saved_run(tmp_path / "run")
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.effect_noise((64, 64), 50 * number).save(tmp_path / "images" / f"{number}.png")
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(PORTS)]
        for each in free:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in free]
    torch.multiprocessing.spawn(process, (tmp_path, ports), nprocs=2)
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1))

    shared = tmp_path / "compared"
    for command in commands(tmp_path, tmp_path / "alone"):
        if command[0] == "compare":
            shared = shared.rename(tmp_path / "shared")
        assert main(command) == 0
    alone = tmp_path / "alone"

    # Each measures one of the two tasks, and the first prints the table.
    assert figures(shared) == figures(tmp_path / "compared")
    assert first["compare"][1].startswith("task 1 of 2: ")
    assert first["compare"][-1].startswith(f"{tmp_path / 'compared'}: comparison.txt")
    estimate, line = second["compare"]
    assert re.match("about .* on 1 task in this process, by a sample of one", estimate)
    assert line.startswith("task 2 of 2: ")

    assert payload(tmp_path / "0" / "report.html") == payload(alone / "report.html")
    assert first["report"] == [f"report: {tmp_path / '0' / 'report.html'}"]
    assert second["report"] == []

    written = [files(tmp_path / str(number) / "predicted" / "labels") for number in (0, 1)]
    assert written == [["0.png", "2.png"], ["1.png"]]
    for number, names in enumerate(written):
        for name in names:
            own = tmp_path / str(number) / "predicted" / "labels" / name
            assert own.read_bytes() == (alone / "predicted" / "labels" / name).read_bytes()
    assert [len(each["predict"]) for each in (first, second)] == [2, 1]

    # The others belong to the first process.
    assert files(tmp_path / "1") == ["predicted/labels/1.png", "predicted/overlays/1.png"]
    names = {"report.html", "explanation.html", "prototypes.json", "predicted/classes.json"}
    assert names <= {*files(tmp_path / "0")}
    assert second["explain"] == second["prototypes"] == []
