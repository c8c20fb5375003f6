"""The variables by which a launcher describes the processes of a run: torchrun's and Slurm's."""

from __future__ import annotations

import os
import re
import warnings

REQUIRED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FIRST_PORT, PORTS = 15000, 15000


def read_launcher() -> int:
    """Return the number of processes that were started together, by torchrun or by Slurm's srun.

    Where torchrun has set its variables, they count. In a task of srun they are set from Slurm's;
    ``MASTER_ADDR`` and ``MASTER_PORT`` stay as given. Only a step of several tasks (their number
    is in ``SLURM_STEP_NUM_TASKS``) is a run of several processes: the shell of salloc and the
    script of sbatch know the tasks of the job (``SLURM_NTASKS``), but a command without srun in
    front of it runs once.

    Raises:
        ValueError: If variables are missing or do not fit together.

    Warns:
        UserWarning: If a job has several tasks, but this process was not started by srun.
    """
    if "WORLD_SIZE" not in os.environ and _whole("SLURM_STEP_NUM_TASKS", 1) == 1:
        _warn_of_unused_tasks()
    return _processes()


def is_first_process(command: str) -> bool:
    """Return whether this process is to run a command that several processes cannot share.

    The first of those that were started together runs it, and the others do nothing.

    Args:
        command: Name of the command.

    Raises:
        ValueError: If variables are missing or do not fit together.

    Warns:
        UserWarning: If this is the first of several processes.
    """
    processes = _processes()
    first = processes == 1 or _whole("RANK", 0) == 0
    if first and processes > 1:
        warnings.warn(
            f"{command} is not shared among processes: the first of {processes} does all of it, "
            "and the others nothing; start one alone to leave the others free",
            stacklevel=2,
        )
    return first


def _processes() -> int:
    """Return the number of processes of the run, with torchrun's variables set."""
    given = os.environ
    if "WORLD_SIZE" not in given:
        tasks = _whole("SLURM_STEP_NUM_TASKS", 1)
        if tasks == 1:
            return 1
        given.update(_from_slurm(tasks))
    processes = _whole("WORLD_SIZE", 1)
    missing = [name for name in REQUIRED if name not in given]
    if processes > 1 and missing:
        raise ValueError(
            f"WORLD_SIZE is {processes} without {', '.join(missing)}: start the processes by "
            "torchrun or srun, or unset WORLD_SIZE for a single process"
        )
    number = _whole("RANK", 0)
    if number >= processes:
        raise ValueError(f"RANK is {number}, expected less than WORLD_SIZE, which is {processes}")
    return processes


def _from_slurm(tasks: int) -> dict[str, str]:
    """Return torchrun's variables for a task of a step."""
    missing = [name for name in ("SLURM_PROCID", "SLURM_LOCALID") if name not in os.environ]
    if missing:
        raise ValueError(
            f"SLURM_STEP_NUM_TASKS is {tasks} without {', '.join(missing)}: start the processes "
            "by srun, or by srun torchrun with one task per node"
        )
    # A task may be given a GPU of its own, and then sees no other.
    several = "," in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
    job, step = _whole("SLURM_JOB_ID", 0), _whole("SLURM_STEP_ID", 0)
    port = FIRST_PORT + (101 * job + step) % PORTS
    return {
        "WORLD_SIZE": str(tasks),
        "RANK": str(_whole("SLURM_PROCID", 0)),
        "LOCAL_RANK": str(_whole("SLURM_LOCALID", 0) if several else 0),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR") or _first_host(),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(port),
    }


def _first_host() -> str:
    """Return the host of task 0: the first in Slurm's list, such as ``gpu[07-09,12],big1``."""
    if _whole("SLURM_STEP_NUM_NODES", 0) == 1:
        return "127.0.0.1"
    names = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")
    hosts = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if hosts is None:
        raise ValueError(
            "neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST is set: set MASTER_ADDR to the "
            "host of the first task"
        )
    return re.sub(r"\[([^],-]*)[^]]*\]", r"\1", hosts).split(",")[0]


def _warn_of_unused_tasks() -> None:
    tasks = _whole("SLURM_NTASKS", 1)
    if tasks > 1:
        warnings.warn(
            f"the Slurm job has {tasks} tasks, but this is a single process, which srun did not "
            "start together with others: write srun before the command to use all tasks",
            stacklevel=4,
        )


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not re.fullmatch("[0-9]+", text):
        raise ValueError(f"{name} is {text!r}, expected a whole number, as torchrun and srun set")
    return int(text)
