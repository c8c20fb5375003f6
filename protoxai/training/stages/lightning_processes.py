"""The processes of a run, as Lightning is to see them."""

from __future__ import annotations

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from protoxai.runtime.distributed import rank, world_size


class OneDeviceEach(ClusterEnvironment):
    """The process group that exists already, as one node of one device for each process.

    Lightning would look for launchers by itself, and expect other variables of Slurm. The group is
    that of :func:`~protoxai.runtime.distributed.process_group`, whatever started its processes and
    however they are spread over hosts.
    """

    @property
    def creates_processes_externally(self) -> bool:
        """Whether the processes run already."""
        return True

    @property
    def main_address(self) -> str:
        """Host of the first process, which only a new group would need."""
        raise NotImplementedError

    @property
    def main_port(self) -> int:
        """Port of the first process, which only a new group would need."""
        raise NotImplementedError

    @staticmethod
    def detect() -> bool:
        """Return whether Lightning may choose this environment by itself."""
        return False

    def world_size(self) -> int:
        """Return the number of processes."""
        return world_size()

    def set_world_size(self, size: int) -> None:
        """Leave the number of processes as it is."""

    def global_rank(self) -> int:
        """Return the number of this process."""
        return rank()

    def set_global_rank(self, rank: int) -> None:
        """Leave the number of this process as it is."""

    def local_rank(self) -> int:
        """Return the position of this process's device among the devices of its node."""
        return 0

    def node_rank(self) -> int:
        """Return the number of this process's node."""
        return rank()
