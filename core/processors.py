"""How many processors this process may use: by its affinity, and by the CPU quota of its cgroup."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessorLimits:
    """Limits on the processors of this process.

    Attributes:
        affinity: number of processors that it may run on.
        quota: processor time per time by cgroup, e.g. 1.5 for one and a half processors; None for
            no quota.
    """

    affinity: int
    quota: float | None = None

    @property
    def usable(self) -> int:
        """Number of threads that can run at the same time all the time; at least 1."""
        if self.quota is None:
            return self.affinity
        return max(1, min(self.affinity, int(self.quota)))

    @property
    def is_quota_binding(self) -> bool:
        """Whether the quota allows less than the affinity."""
        return self.quota is not None and self.quota < self.affinity


def processor_limits(root: Path = Path("/")) -> ProcessorLimits:
    """Returns the limits of this process.

    Args:
        root: of the file system, for tests.
    """
    return ProcessorLimits(_affinity(), _cpu_quota(root))


def log_quota() -> None:
    """Logs that a CPU quota limits this process, if one does."""
    limits = processor_limits()
    if limits.is_quota_binding:
        logger.info(
            "a CPU quota allows %.4g of %s processors: engines and threads are sized for %s",
            limits.quota,
            limits.affinity,
            limits.usable,
        )


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # e.g. macOS


def _cpu_quota(root: Path) -> float | None:
    """Returns the smallest quota of the cgroup and its ancestors.

    Sources: Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
    Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us) of the Linux kernel.
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")

        if hierarchy == "0" and not controllers:
            mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
            quotas += _quotas(root, mounts, group, _quota_v2)
        elif "cpu" in controllers.split(","):
            mounts = (f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu")
            quotas += _quotas(root, mounts, group, _quota_v1)

    return min(quotas, default=None)


def _quotas(
    root: Path,
    mounts: tuple[str, ...],
    group: str,
    read: Callable[[Path], float | None],
) -> list[float]:
    path = PurePosixPath("/", group.lstrip("/"))
    # In a container, the path may be that of the host, and the quota is at the root of the mount.
    groups = [str(each).lstrip("/") for each in (path, *path.parents) if ".." not in each.parts]
    folders = [root / mount / each for mount in mounts for each in groups]
    found = (read(folder) for folder in folders)
    return [quota for quota in found if quota is not None]


def _quota_v2(folder: Path) -> float | None:
    """Reads cpu.max: "$MAX $PERIOD" in microseconds, or "max $PERIOD"."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> float | None:
    """Reads cpu.cfs_quota_us, which is -1 without a quota, and cpu.cfs_period_us."""
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    return _ratio(quota, _read(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()) or not int(quota) or not int(period):
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
