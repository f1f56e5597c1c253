"""Processors: affinity, and CPU quotas of cgroups of both versions."""

import os

import pytest

from dcgan.core.processors import ProcessorLimits, processor_limits


def write(root, contents):
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


V2 = "0::/\n"
V1 = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n"
QUOTA = "cpu.cfs_quota_us"
PERIOD = "cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "20000 100000\n"}, 0.2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "garbage"}, None),
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a.slice/cpu.max": "150000 100000\n",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                f"sys/fs/cgroup/cpu,cpuacct/docker/abc/{QUOTA}": "300000\n",
                f"sys/fs/cgroup/cpu,cpuacct/docker/abc/{PERIOD}": "100000\n",
            },
            3.0,
        ),
        (  # in the container the group is the root of the mount
            {
                "proc/self/cgroup": V1,
                f"sys/fs/cgroup/cpu/{QUOTA}": "50000\n",
                f"sys/fs/cgroup/cpu/{PERIOD}": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                f"sys/fs/cgroup/cpu/{QUOTA}": "-1\n",
                f"sys/fs/cgroup/cpu/{PERIOD}": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_quota_of_the_cgroup_is_read(tmp_path, files, quota):
    assert processor_limits(write(tmp_path, files)).quota == quota


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"),
    [(64, None, 64), (64, 0.2, 1), (64, 2.0, 2), (64, 2.9, 2), (2, 8.0, 2), (1, 0.5, 1)],
)
def test_the_smaller_limit_counts(affinity, quota, usable):
    limits = ProcessorLimits(affinity, quota)
    assert limits.usable == usable
    assert limits.is_quota_binding == (quota is not None and quota < affinity)


def test_a_system_without_affinities_has_all_its_processors(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert processor_limits(tmp_path).usable == 10
