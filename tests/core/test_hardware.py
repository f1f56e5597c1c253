"""The family of this machine's processor."""

from __future__ import annotations

import platform
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcgan.core import hardware
from dcgan.core.hardware import processor_family, processor_name
from dcgan.core.onnx_session import CPU, CUDA

V3 = "avx2 bmi1 bmi2 fma f16c"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretends another machine: a function of its architecture and lines of /proc/cpuinfo."""

    def pretend(architecture: str, *lines: str) -> None:
        monkeypatch.setattr(platform, "machine", lambda: architecture)
        monkeypatch.setattr(hardware, "_read_lines", lambda path: list(lines))

    return pretend


@pytest.mark.parametrize(
    ("flags", "family"),
    [
        (V4, "x86-64-v4"),
        (V4.replace("avx512vl", ""), "x86-64-v3"),
        (V3, "x86-64-v3"),
        (V3.replace("fma", ""), "x86-64"),
        ("", "x86-64"),
    ],
)
def test_the_family_of_an_x86_64_processor_is_its_level(machine, flags: str, family: str):
    machine("x86_64", "model name : one", f"flags : {flags}", "flags : of another core")
    assert processor_family(CPU) == family


def test_the_family_of_another_processor_is_its_architecture(machine):
    machine("aarch64", "Features : fp asimd")
    assert processor_family(CPU) == "aarch64"


def test_the_family_of_a_gpu_is_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folder = tmp_path / "proc" / "driver" / "nvidia" / "gpus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 12\n")
    monkeypatch.setattr(hardware, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert processor_family(CUDA) == "NVIDIA H100 80GB HBM3"


def test_the_family_of_a_gpu_without_a_driver_is_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(hardware, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert processor_family(CUDA) == "cuda"


def test_the_processor_has_the_name_that_its_maker_gives(machine):
    machine("x86_64", "model name\t: A Processor @ 2.0GHz", "flags : avx2")
    assert processor_name() == "A Processor @ 2.0GHz"


def test_the_host_is_named_with_the_processors_that_may_be_used(monkeypatch: pytest.MonkeyPatch):
    limits = SimpleNamespace(usable=3)
    monkeypatch.setattr(hardware, "processor_limits", lambda: limits)
    monkeypatch.setattr(hardware, "processor_name", lambda: "a processor")
    assert hardware.describe_host() == "3 cores of a processor"
