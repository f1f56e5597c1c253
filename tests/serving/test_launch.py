"""Waiting for a server: it is ready, it dies, or it takes too long."""

import signal
import subprocess
import sys
import time

import pytest

from dcgan.serving.launch import NotReadyError, launch_server, wait_until_ready

READY = """
import json, os, sys, time
path = sys.argv[-1]
with open(path + ".part", "w") as file:
    json.dump({"address": "127.0.0.1:5", "pid": os.getpid()}, file)
os.rename(path + ".part", path)
time.sleep(600)
"""


def test_a_ready_server_is_given_and_ended_with_the_block():
    with launch_server([sys.executable, "-c", READY]) as server:
        assert (server.address, server.report.pid) == ("127.0.0.1:5", server.process.pid)
        assert server.process.poll() is None
    assert server.process.returncode == -signal.SIGTERM


def test_a_server_that_ignores_the_signal_is_killed():
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY
    with launch_server([sys.executable, "-c", stubborn], stop_timeout_s=0.1) as server:
        pass
    assert server.process.returncode == -signal.SIGKILL


def test_a_server_that_dies_is_noticed_at_once():
    began = time.monotonic()
    with (
        pytest.raises(NotReadyError, match="ended with exit code 3 before it was ready"),
        launch_server([sys.executable, "-c", "raise SystemExit(3)"], timeout_s=600),
    ):
        pass
    assert time.monotonic() - began < 30


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path):
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleeping, text=True) as process:
        with pytest.raises(NotReadyError, match="not ready within 0.1 s"):
            wait_until_ready(process, tmp_path / "ready.json", timeout_s=0.1)
        process.kill()
