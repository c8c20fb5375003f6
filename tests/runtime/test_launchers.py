"""Variables of launchers: torchrun's, and Slurm's for tasks of srun."""

import warnings

import pytest
import torch
from torch import distributed

from protoxai.runtime.distributed import own_device, process_group
from protoxai.runtime.launchers import is_first_process, read_launcher

# What srun sets for the second task of the second of two nodes.
TASK = {
    "SLURM_JOB_ID": "41977",
    "SLURM_JOB_NODELIST": "gpu[07-09,12],big1",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NODELIST": "gpu[08-09]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
# What a script of sbatch sees, before any srun.
BATCH = {name: TASK[name] for name in ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NTASKS")}
BATCH |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of this process while a test runs."""
    values: dict[str, str] = {}
    monkeypatch.setattr("os.environ", values)
    return values


def test_a_task_of_srun(variables: dict[str, str]) -> None:
    variables.update(TASK)
    assert read_launcher() == 4
    assert {name: variables[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
    }
    assert variables["MASTER_ADDR"] == "gpu08"
    first = int(variables["MASTER_PORT"])
    assert 15000 <= first < 30000
    # Asked again, it is the same run.
    before = dict(variables)
    assert read_launcher() == 4
    assert variables == before


def test_steps_and_jobs_have_their_own_ports(variables: dict[str, str]) -> None:
    ports = set()
    for job in ("41977", "41978"):
        for step in ("2", "3"):
            variables.clear()
            variables.update({**TASK, "SLURM_JOB_ID": job, "SLURM_STEP_ID": step})
            read_launcher()
            ports.add(variables["MASTER_PORT"])
    assert len(ports) == 4


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("gpu[07-09,12],big1", "gpu07"),
        ("big1,gpu[07-09]", "big1"),
        ("rack[0-1]n[02,05]-ib", "rack0n02-ib"),
        ("n[3]", "n3"),
        ("n3", "n3"),
    ],
)
def test_the_first_host_of_a_list(variables: dict[str, str], hosts: str, first: str) -> None:
    variables.update({**TASK, "SLURM_STEP_NODELIST": hosts})
    read_launcher()
    assert variables["MASTER_ADDR"] == first


def test_one_node_is_reached_without_its_name(variables: dict[str, str]) -> None:
    variables.update({**TASK, "SLURM_STEP_NUM_NODES": "1"})
    read_launcher()
    assert variables["MASTER_ADDR"] == "127.0.0.1"


def test_a_given_meeting_point_stays(variables: dict[str, str]) -> None:
    variables.update({**TASK, "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "29500"})
    read_launcher()
    assert (variables["MASTER_ADDR"], variables["MASTER_PORT"]) == ("10.0.0.7", "29500")


def test_a_task_that_sees_one_gpu_uses_it(variables: dict[str, str]) -> None:
    variables.update({**TASK, "CUDA_VISIBLE_DEVICES": "1"})
    read_launcher()
    assert variables["LOCAL_RANK"] == "0"


def test_torchrun_comes_first(variables: dict[str, str]) -> None:
    variables.update({**TASK, **TORCHRUN})
    assert read_launcher() == 2
    del variables["PYTEST_CURRENT_TEST"]
    assert variables == {**TASK, **TORCHRUN}
    variables["WORLD_SIZE"] = "1"
    assert read_launcher() == 1


@pytest.mark.parametrize("given", [TASK, TORCHRUN])
def test_the_first_process_runs_what_is_not_shared(
    variables: dict[str, str], given: dict[str, str]
) -> None:
    first, later = ("SLURM_PROCID", "3") if given is TASK else ("RANK", "1")
    variables.update({**given, first: "0"})
    with pytest.warns(UserWarning, match=r"explain is not shared .*: the first of [24] does all"):
        assert is_first_process("protoxai explain")
    variables.clear()
    variables.update({**given, first: later})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not is_first_process("protoxai explain")
        # Alone, as in a script of sbatch, where other tasks would be of no use.
        variables.clear()
        variables.update(BATCH)
        assert is_first_process("protoxai explain")


@pytest.mark.parametrize(
    "job",
    [
        BATCH,
        # The shell of salloc is a step of one task on many clusters.
        {**BATCH, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_without_srun_a_process_is_alone(variables: dict[str, str], job: dict[str, str]) -> None:
    variables.update(job)
    with pytest.warns(UserWarning, match="4 tasks, but .* write srun before the command"):
        assert read_launcher() == 1
    assert "WORLD_SIZE" not in variables
    variables["SLURM_NTASKS"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_launcher() == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "2 without MASTER_ADDR, MASTER_PORT: start .* by tor"),
        ({**TORCHRUN, "RANK": "2"}, "RANK is 2, expected less than WORLD_SIZE, which is 2"),
        ({**TORCHRUN, "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', expected a whole number"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE, which is 0"),
        ({**TASK, "SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1', expected a whole"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "2 without SLURM_PROCID, SLURM_LOCALID: start .* srun"),
        (
            {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
            "neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST is set: set MASTER_ADDR",
        ),
    ],
)
def test_variables_that_do_not_fit(
    variables: dict[str, str], given: dict[str, str], message: str
) -> None:
    variables.update(given)
    with pytest.raises(ValueError, match=message), process_group():
        pass


def test_processes_that_do_not_meet(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(backend: str) -> None:
        raise distributed.DistNetworkError("The server socket has failed\n at some line")

    variables.update(TORCHRUN)
    monkeypatch.setattr(distributed, "init_process_group", refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = (
        r"process 0 of 2 cannot join .* at a:1 \(The server socket has failed\): check .* port"
    )
    with pytest.raises(ConnectionError, match=expected), process_group():
        pass


def test_a_process_without_a_gpu(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    variables["LOCAL_RANK"] = "1"
    assert own_device() == torch.device("cuda", 1)
    variables["LOCAL_RANK"] = "2"
    with pytest.raises(ValueError, match=r"LOCAL_RANK is 2, .* 2 GPUs: start at most one process"):
        own_device()
