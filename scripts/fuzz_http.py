"""Runs schemathesis against the HTTP service, as its OpenAPI document describes it.

    pip install schemathesis
    python scripts/fuzz_http.py [--max-examples 25] [--seed 1] [--schemathesis PATH]

It runs twice: with names of models as the document allows them, most of which do not exist; and
with the model that is served, whose limits (such as `n` times `size`) no schema can express, so
that a refusal is no finding there. Exit code 0 only if there is no finding.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from dcgan.serving.launch import LaunchedServer, launch_server

SERVE = [
    sys.executable,
    "-c",
    "from dcgan.serving.cli.serve import main; main()",
    *("--model", "dcgan64-tiny", "--port", "0", "--http-port", "0", "--metrics-port", "0"),
    *("--no-http-access-log", "--log-level", "warning"),
]
SERVED = """
[parameters]
model = "{name}"
version = {version}
"""
LIMITS_ARE_NOT_IN_THE_SCHEMA = ["--exclude-checks", "positive_data_acceptance"]


def main() -> None:
    """Starts a server, and runs schemathesis twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-examples", type=int, default=25, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schemathesis", default="schemathesis", help="path of the command")
    arguments = parser.parse_args()

    with launch_server(SERVE) as server, tempfile.TemporaryDirectory() as folder:
        model = server.report.models[0]
        config = Path(folder, "schemathesis.toml")
        config.write_text(SERVED.format(name=model.name, version=model.version))
        served = ["--config-file", str(config)]
        codes = [
            run(server, arguments, [], []),
            run(server, arguments, served, LIMITS_ARE_NOT_IN_THE_SCHEMA),
        ]
    sys.exit(max(codes))


def run(
    server: LaunchedServer,
    arguments: argparse.Namespace,
    common: list[str],
    options: list[str],
) -> int:
    """Runs schemathesis and returns its exit code."""
    url = f"http://{server.report.http_address}"
    command = [
        arguments.schemathesis,
        *common,
        "run",
        f"{url}/openapi.json",
        *("--url", url, "--phases", "examples,coverage,fuzzing", "--no-color"),
        *("--max-examples", str(arguments.max_examples), "--seed", str(arguments.seed)),
        *options,
    ]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
