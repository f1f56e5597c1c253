"""dcgan-bench: its table, its JSON, and what it refuses."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dcgan.serving import load_test
from dcgan.serving.cli.bench import main
from dcgan.serving.load_test import LoadTestReport


def test_the_command_prints_a_table_and_writes_json(server, tmp_path):
    out = tmp_path / "report.json"
    arguments = [
        "--target",
        server.target,
        "-n",
        "1:0.9,8:0.1",
        "--duration-s",
        "0.3",
        "--warmup-s",
        "0",
        "--verify",
    ]
    result = CliRunner().invoke(main, [*arguments, "--json", str(out)])

    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["codes"] == {"OK": report["requests"]}
    assert f"{report['images_per_s']:,.1f}" in result.output
    assert np.isfinite(report["latency_ms"]["99.9"])


def test_a_load_without_a_good_reply_has_a_report_too(server, tmp_path):
    out = tmp_path / "report.json"
    arguments = ["--target", server.target, "-n", "512", "--model", "slow", "--timeout-s", "0.01"]
    result = CliRunner().invoke(
        main, [*arguments, "--duration-s", "0.3", "--warmup-s", "0", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert (set(report["codes"]), report["latency_ms"]) == ({"DEADLINE_EXCEEDED"}, {})
    assert "latency" not in result.output


def test_a_wrong_reply_to_any_process_ends_the_command_with_1(monkeypatch):
    asked = []

    def run_in_processes(config, processes):
        asked.append((config.concurrency, config.verify, processes))
        return LoadTestReport(
            seconds=1.0,
            requests=9,
            images_per_s=9.0,
            requests_per_s=9.0,
            latency_ms={},
            codes={"OK": 9},
            mismatches=1,
        )

    monkeypatch.setattr(load_test, "run_in_processes", run_in_processes)
    result = CliRunner().invoke(main, ["--processes", "3", "--concurrency", "8", "--verify"])
    assert (result.exit_code, asked) == (1, [(8, True, 3)])
    assert "wrong replies" in result.output


@pytest.mark.parametrize("sizes", ["0", "513", "1:0", "1:-1", "x", "1:nan", "", "1,,2"])
def test_sizes_that_make_no_sense_are_refused(sizes):
    result = CliRunner().invoke(main, ["-n", sizes])
    assert (result.exit_code, "'-n'" in result.stderr) == (2, True)


def test_without_a_server_it_says_so():
    result = CliRunner().invoke(main, ["--target", "127.0.0.1:1"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("name", ["no/such/report.json", "file/report.json", "x" * 300])
def test_a_place_for_the_report_that_cannot_be_written_is_said_before_the_load(tmp_path, name):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["--target", "127.0.0.1:1", "--json", str(tmp_path / name)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "cannot write" in result.stderr
    assert "name another --json" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
