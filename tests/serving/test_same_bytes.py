"""A small version of benchmarks/same_bytes.py: random requests, cancellations, a restart."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "same_bytes.py"


def compare(out: Path, *options: str) -> tuple[int, dict]:
    command = [sys.executable, str(PROGRAM), "--requests", "300", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, json.loads(out.read_text()) if out.exists() else done.stderr


def test_no_byte_differs(only, tmp_path):
    code, findings = compare(tmp_path / "found.json", "--repository", str(only("tiny")))
    assert code == 0, findings
    assert (findings["replies"], findings["differing_bytes"], findings["failures"]) == (300, 0, {})
    assert findings["called_off"] > 0
    assert len(findings["by_format"]) == 3


def test_a_server_with_other_weights_is_seen(repository, only, tmp_path):
    shutil.copytree(repository / "tiny" / "1", tmp_path / "other" / "tiny" / "1")
    servers = "--repository", str(only("tiny")), "--second-repository", str(tmp_path / "other")
    code, findings = compare(tmp_path / "found.json", *servers)
    assert code == 1
    assert findings["differing_bytes"] > 0
