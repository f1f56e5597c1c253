"""The family of this machine's processor."""

from __future__ import annotations

import platform

import pytest

from dcgan.core.hardware import processor_family, processor_name


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels are those of x86-64")
def test_the_family_of_an_x86_64_processor_is_its_level():
    assert processor_family("CPUExecutionProvider") in ("x86-64", "x86-64-v3", "x86-64-v4")


def test_a_gpu_has_another_family_than_the_cpu():
    assert processor_family("CUDAExecutionProvider") != processor_family("CPUExecutionProvider")


def test_the_processor_has_a_name():
    assert processor_name().strip()
