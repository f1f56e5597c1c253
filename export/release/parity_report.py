"""`parity.json`: every figure of the parity gate."""

from __future__ import annotations

from pathlib import Path

from dcgan.core.schema import dump_json
from dcgan.export.verify.report import ParityReport
from dcgan.zoo.manifest import ModelFile
from dcgan.zoo.release import describe_file

FILE_NAME = "parity.json"


def write_parity_report(report: ParityReport, folder: Path) -> ModelFile:
    """Writes the report."""
    path = folder / FILE_NAME
    path.write_text(dump_json(report), encoding="utf-8")
    return describe_file(path, "parity")
