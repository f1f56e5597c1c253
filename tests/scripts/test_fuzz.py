"""The fuzzers: valid inputs pass, and thousands of mutations break no promise."""

from __future__ import annotations

import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FUZZ = runpy.run_path(str(SCRIPTS / "fuzz.py"))

# Those that mutate in milliseconds; the others run in `scripts/fuzz.py` only.
FAST = ("archive", "http", "index", "labels", "manifest", "onnx", "zip")


@pytest.fixture
def targets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from fuzzing import TARGETS

    return TARGETS


def test_every_target_has_valid_inputs(targets):
    assert sorted(targets) == sorted(FUZZ["NAMES"])


def test_one_of_the_graphs_is_quantized(targets):
    quantized = [data for data in targets["onnx"].seeds() if b"QuantizeLinear" in data]
    assert quantized


@pytest.mark.hostile(
    "Mutations of valid archives, zips, indexes, labels, manifests, ONNX files and HTTP requests",
    "the promised errors only, in printable messages",
)
@pytest.mark.parametrize("name", FAST)
def test_mutations_of_valid_inputs_break_no_promise(targets, name: str):
    rng = random.Random(name)
    for data in targets[name].warm_up():
        for _ in range(20):
            targets[name].run(FUZZ["mutate"](data, rng))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FUZZ["NAMES"]) - set(FAST)))
def test_the_other_targets_accept_valid_inputs(targets, name: str):
    rng = random.Random(name)
    seeds = targets[name].warm_up()
    assert seeds
    for _ in range(20):
        targets[name].run(FUZZ["mutate"](rng.choice(seeds), rng))


def test_a_finding_ends_the_script_and_its_input_is_kept(tmp_path: Path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import fuzz, fuzzing\n"
        "from fuzzing.target import Target\n"
        "def fail(data):\n    assert data == b'valid'\n"
        "fuzzing.TARGETS['labels'] = Target(lambda: [b'valid'], fail)\n"
        "from pathlib import Path; fuzz.mutate_for('labels', 60, Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, str(SCRIPTS), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 1
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("labels-")
    assert str(kept) in result.stderr
