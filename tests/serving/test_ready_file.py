"""The ready file: what it says, that it is whole, and that it goes when the server ends."""

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcgan.serving.cli.serve import main
from dcgan.serving.launch import wait_until_ready
from dcgan.serving.ready_file import (
    ReadyFileError,
    ReadyModel,
    ReadyReport,
    read_ready_file,
    remove_ready_file,
    write_ready_file,
)

MODEL = ReadyModel(
    name="photos",
    version=3,
    digest="a" * 64,
    default=True,
    precision="fp32",
    provider="CPUExecutionProvider",
    agreement="exact",
)
REPORT = ReadyReport(
    address="127.0.0.1:1", pid=os.getpid(), metrics_addresses=("127.0.0.1:2",), models=(MODEL,)
)


def test_a_server_reports_where_it_listens_and_what_it_serves(server, client):
    report = server.report
    assert report.pid == server.process.pid
    assert (report.workers, len(report.metrics_addresses)) == (1, 1)
    assert (report.models[0].name, report.models[0].version) == ("tiny", 2)
    assert [model.default for model in report.models] == [True] + [False] * (len(report.models) - 1)
    assert {(model.name, model.digest) for model in report.models} == {
        (model.name, model.digest) for model in client.models()
    }
    assert {(model.provider, model.agreement) for model in report.models} == {
        ("CPUExecutionProvider", "exact")
    }


def test_the_printed_line_says_the_same(server):
    assert server.ready_line == f"dcgan-serve {server.report.describe()}\n"


def test_models_that_run_alike_are_described_together():
    models = (
        MODEL,
        replace(MODEL, name="close", default=False, agreement="close"),
        replace(MODEL, name="more", default=False),
    )
    line = replace(REPORT, models=models).describe()
    assert "serving photos version 3 (the default), more version 3 on CPUExecutionProvider" in line
    assert "exact; close version 3 on CPUExecutionProvider, golden images close" in line
    assert "serving photos version 3 on CPUExecutionProvider, golden" in REPORT.describe()


@pytest.mark.slow
def test_with_workers_the_parent_reports_once_all_are_ready(start_server, only):
    with start_server(only("tiny"), "--workers", "2", "--intra-op-threads", "1") as server:
        report = server.report
        assert (report.pid, report.workers) == (server.process.pid, 2)
        assert len(set(report.metrics_addresses)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_file_goes_at_a_clean_exit(entry_point, only, tmp_path, workers):
    ports = ["--port", "0", "--metrics-port", "0", "--workers", workers]
    command = [*entry_point("serve"), *ports, "--model-repository", str(only("tiny"))]
    ready_file = tmp_path / "ready.json"
    with subprocess.Popen([*command, "--ready-file", str(ready_file)], text=True) as process:
        assert wait_until_ready(process, ready_file).pid == process.pid
        assert os.listdir(tmp_path) == ["ready.json"]
        process.terminate()
    assert process.returncode == 0
    assert os.listdir(tmp_path) == []


def test_a_file_of_a_killed_server_is_removed_at_the_next_start(only, tmp_path):
    ready_file = tmp_path / "ready.json"
    write_ready_file(ready_file, REPORT)
    nothing = ["--model-repository", str(tmp_path / "nowhere"), "--ready-file", str(ready_file)]
    result = CliRunner().invoke(main, [*nothing, "--port", "0", "--metrics-port", "0"])
    assert result.exit_code == 2
    assert not ready_file.exists()


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "new" / "ready.json"
    write_ready_file(path, REPORT)
    assert read_ready_file(path) == REPORT
    assert set(json.loads(path.read_text())) >= {"address", "pid", "models", "metrics_addresses"}
    assert os.listdir(path.parent) == ["ready.json"]
    assert read_ready_file(tmp_path / "none.json") is None


def test_only_the_file_of_the_same_process_is_removed(tmp_path):
    path = tmp_path / "ready.json"
    write_ready_file(path, REPORT)
    remove_ready_file(path, os.getpid() + 1)
    assert path.exists()
    remove_ready_file(path, os.getpid())
    assert not path.exists()


def test_a_fifo_is_never_removed(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    remove_ready_file(path)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_place_that_cannot_be_written_is_said(only, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReadyFileError, match="cannot write .*; name another --ready-file"):
        write_ready_file(Path(tmp_path, "file", "ready.json"), REPORT)
