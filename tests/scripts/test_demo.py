"""The demo finds its server, or says that there is none."""

from __future__ import annotations

import runpy
import socket
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DEMO = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "demo.py"))


def test_the_demo_learns_where_its_server_listens():
    with DEMO["server"]("dcgan-serve", "--port", "0", "--metrics-port", "0") as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10):
            pass


def test_the_demo_stops_when_its_server_does_not_start(tmp_path: Path):
    nowhere = str(tmp_path / "nowhere")
    with (
        pytest.raises(SystemExit, match="did not start"),
        DEMO["server"]("dcgan-serve", "--model-repository", nowhere),
    ):
        pass
