"""The HTTP service against its OpenAPI document, by schemathesis."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("schemathesis")
SERVED = """
[parameters]
model = "tiny"
version = 2
"header.Grpc-Timeout" = "60S"
"""


@pytest.fixture
def check(server, tmp_path):
    """Runs schemathesis with a configuration and options; gives what it printed."""

    def run(config: str, *options: str) -> str:
        path = tmp_path / "schemathesis.toml"
        path.write_text(config)
        command = [
            str(COMMAND),
            *("--config-file", str(path)),
            *("run", f"{server.url}/openapi.json", "--url", server.url),
            *("--workers", "2", "--seed", "1", "--max-examples", "10", "--no-color"),
            *("--request-timeout", "60"),  # the machine may be busy
            *options,
        ]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_response_is_one_that_the_document_describes(check):
    assert "25 selected / 25 total" in check("", "--phases", "examples,fuzzing")


def test_the_model_that_is_served_answers_as_the_document_says(check):
    # No schema can express its limits, such as n times size; a refusal is no finding here, and
    # neither is a deadline that cannot be met.
    limits = ("--exclude-checks", "positive_data_acceptance")
    printed = check(SERVED, "--phases", "coverage,fuzzing", *limits)
    assert "No issues found" in printed
