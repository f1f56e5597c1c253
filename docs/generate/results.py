"""The files of benchmarks/results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def read_result(name: str) -> dict[str, Any]:
    """Returns a result by the name of its file."""
    result: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return result


def machine_note(machine: Mapping[str, Any]) -> str:
    """Returns the line below a table that says on which processor it was measured."""
    versions = machine["libraries"]
    return (
        f"\n{machine['cores']} cores of an {machine['processor']} ({machine['family']}), clients on"
        f" the same cores, ONNX Runtime {versions['onnxruntime-gpu']}, {machine['date']}.\n"
    )
