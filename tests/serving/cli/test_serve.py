"""Options of dcgan-serve."""

import json
import subprocess

import pytest
from click.testing import CliRunner

from dcgan.serving.cli.serve import main
from tests.serving.support import refuse_to_start


@pytest.mark.slow
def test_a_command_that_cannot_start_shows_no_traceback(entry_point, tmp_path):
    ports = ["--port", "0", "--metrics-port", "0"]
    command = [*entry_point("serve"), *ports, "--model-repository", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert "is not a folder" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [("--port", "70000"), ("--device", "tpu"), ("--porr", "1")])
def test_a_bad_option_is_said_in_one_sentence(repository, options):
    assert options[0] in refuse_to_start(repository, *options)


def test_options_come_from_the_command_line_then_the_environment(monkeypatch):
    monkeypatch.setenv("DCGAN_SERVE_METRICS_PORT", "1234")
    monkeypatch.setenv("DCGAN_SERVE_MAX_BATCH_SIZE", "4")
    arguments = [
        "--dry-run",
        "--max-batch-size",
        "5",
        "--cuda-batch-size",
        "128",
        "--devices",
        "0,2",
        "--instances",
        "3",
    ]
    result = CliRunner().invoke(main, arguments)
    config = json.loads(result.stdout)

    assert (config["metrics_port"], config["engine"]["max_batch"]) == (1234, 5)
    assert (config["engine"]["cuda_batch_size"], config["engine"]["devices"]) == (128, [0, 2])
    assert config["engine"]["instances"] == 3


@pytest.mark.parametrize("numbers", ["", "0,0", "one", "1,,2", "-1", "\u0663", "9" * 5000])
def test_devices_are_different_gpu_numbers(numbers):
    result = CliRunner().invoke(main, ["--dry-run", "--devices", numbers])
    assert (result.exit_code, "--devices" in result.stderr) == (2, True)


def test_opening_the_page_needs_http(repository):
    assert "leave --no-http out" in refuse_to_start(repository, "--open", "--no-http")
