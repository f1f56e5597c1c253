"""The programs of benchmarks/ import what still exists."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from dcgan.serving.launch import launch_server
from dcgan.serving.load_test import LoadTestConfig, run_load_test

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_every_module_can_be_imported():
    modules = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    assert {"bench_serving", "same_bytes", "echo_server"} <= set(modules)
    # One process for all of them: each would import PyTorch again.
    done = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_echo_server_can_be_put_under_load():
    command = [sys.executable, str(BENCHMARKS / "echo_server.py")]
    with launch_server(command, cwd=BENCHMARKS) as server:
        config = LoadTestConfig(targets=(server.address,), duration_s=2.0, warmup_s=0.0)
        report = asyncio.run(run_load_test(config))
    assert report.codes == {"OK": report.requests}
    assert report.requests > 0
