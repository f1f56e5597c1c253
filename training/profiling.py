"""Profiling with torch's profiler: the operators that take most of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

_TOP = 12


class Kernels(TypedDict):
    """What a profile says, as JSON."""

    kernels: int
    """Kernels in one run of the work."""
    microseconds: int
    """Their time together."""
    top: dict[str, float]
    """Microseconds of the most expensive ones, by name and number of launches."""


def profile_kernels(work: Callable[[], object], device: torch.device, times: int = 3) -> Kernels:
    """Profiles work that has warmed up.

    In a CUDA graph the profiler sees the kernels, too, but not which operators they belong to.

    Args:
        work: to run.
        device: on which it computes; on a CPU its operators are counted in place of kernels.
        times: how often to run it.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU]
    if on_gpu:
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize()

    with profile(activities=activities) as profiler:
        for _ in range(times):
            work()
        if on_gpu:
            torch.cuda.synchronize()

    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    rows = []
    for event in profiler.key_averages():
        if event.device_type == wanted:
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            rows.append((microseconds / times, event.count / times, event.key))
    rows.sort(reverse=True)
    return {
        "kernels": round(sum(count for _, count, _ in rows)),
        "microseconds": round(sum(microseconds for microseconds, _, _ in rows)),
        "top": {
            f"{name[:90]} ({count:.0f} launches)": round(microseconds, 1)
            for microseconds, count, name in rows[:_TOP]
        },
    }
