"""The committed stubs are those of the committed contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dcgan.v1 import generator_pb2

PROTOS = Path(__file__).resolve().parents[2] / "protos"
STUBS = ("generator_pb2.py", "generator_pb2.pyi", "generator_pb2_grpc.py")


def test_the_stubs_are_fresh(tmp_path: Path):
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTOS), *outputs]
    subprocess.run([*compiler, str(PROTOS / "dcgan" / "v1" / "generator.proto")], check=True)
    for name in STUBS:
        fresh, committed = tmp_path / "dcgan" / "v1" / name, PROTOS / "dcgan" / "v1" / name
        assert committed.read_text() == fresh.read_text(), f"{name} is stale: run `make protos`"


def test_other_languages_get_packages_of_their_own():
    options = generator_pb2.DESCRIPTOR.GetOptions()
    assert options.go_package == "dcgan/v1;dcganv1"
    assert (options.java_package, options.java_multiple_files) == ("dcgan.v1", True)
    assert options.csharp_namespace == "Dcgan.V1"
