"""The campaign saves each stage at once, survives failures, and keeps its files small."""

import argparse
import gzip
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import gpu_campaign  # noqa: E402 - a script, which is not in a package
from campaign import trainings  # noqa: E402
from campaign.results import read_outcomes  # noqa: E402
from campaign.run import Campaign, Stage, StageError  # noqa: E402


@pytest.fixture
def campaign(tmp_path):
    work = tmp_path / "work"
    out = tmp_path / "out"
    work.mkdir()
    out.mkdir()
    return Campaign(
        out=out,
        work=work,
        trainings=(("digits", "digits"),),
        deadline=time.monotonic() + 600,
        dry_run=True,
    )


def test_a_stage_that_fails_keeps_what_it_found_and_stops_no_other(campaign, monkeypatch, capsys):
    def half_way(campaign, result):
        result["summary"] = "one of two"
        raise StageError("exit code 3\nTraceback")

    def after_it(campaign, result):
        saved = json.loads((campaign.out / "campaign.json").read_text())
        assert [stage["stage"] for stage in saved["stages"]] == ["half-way"]
        result["images_per_s"] = 1234

    monkeypatch.setattr(gpu_campaign, "NAMES", ("half-way", "after-it"))
    gpu_campaign.run_stages(campaign, [Stage(half_way, 10), Stage(after_it, 10)])

    first, second = read_outcomes(campaign.out)
    assert first.error == "StageError: exit code 3\nTraceback"
    assert (first.result, second.error) == ({"summary": "one of two"}, None)
    table = (campaign.out / "campaign.md").read_text()
    assert "FAILED: StageError: exit code 3 (one of two)" in table
    assert "| images_per_s | 1,234 |" in table
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_another_call_adds_to_the_results_in_the_order_of_the_stages(campaign, monkeypatch):
    def early(campaign, result):
        result["summary"] = "found"

    def late(campaign, result):
        result["summary"] = "found, too"

    monkeypatch.setattr(gpu_campaign, "NAMES", ("early", "late"))
    gpu_campaign.run_stages(campaign, [Stage(late, 10)])
    gpu_campaign.run_stages(campaign, [Stage(early, 10)])
    assert [outcome.stage for outcome in read_outcomes(campaign.out)] == ["early", "late"]


def test_a_program_that_takes_too_long_is_killed(campaign):
    with pytest.raises(StageError, match="out of time"):
        campaign.until(0.0).run("stage", "-c", "import signal; signal.pause()")


def test_a_program_that_fails_is_an_error_with_the_end_of_its_output(campaign):
    with pytest.raises(StageError, match=r"exit code 3\n.*last words"):
        campaign.run("stage", "-c", "print('last words'); raise SystemExit(3)")


def test_the_output_of_a_program_is_without_that_of_earlier_ones(campaign):
    assert campaign.run("stage", "-c", "print('first')") == "first\n"
    assert campaign.run("stage", "-c", "print('second')") == "second\n"
    assert campaign.log("stage").read_text() == "first\nsecond\n"


def test_a_program_does_not_outlive_an_interrupted_campaign(campaign, monkeypatch):
    waited = []
    wait = subprocess.Popen.wait

    def interrupted_once(process, timeout=None):
        waited.append(process)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        campaign.run("stage", "-c", "import signal; signal.pause()")
    assert waited[0].poll() == -9


def test_weights_are_saved_in_parts_that_join_to_the_file(campaign):
    source = campaign.work / "generator.safetensors"
    source.write_bytes(bytes(range(250)))
    parts = trainings.copy_in_parts(source, campaign.out, max_bytes=100)
    assert [path.name for path in parts] == [f"generator.safetensors.part{i}" for i in range(3)]
    assert b"".join(path.read_bytes() for path in parts) == source.read_bytes()

    (whole,) = trainings.copy_in_parts(source, campaign.out)
    assert whole.read_bytes() == source.read_bytes()


def test_a_training_that_runs_out_of_time_is_stopped_with_its_weights_saved(campaign, monkeypatch):
    """The training is one that saves when it is told to stop, as dcgan-train does."""
    run_folder = campaign.work / "run"
    (run_folder / "samples").mkdir(parents=True)
    (run_folder / "metrics.jsonl").write_text('{"step": 1}\n')
    program = f"""
import pathlib, signal, sys
def save(*_):
    pathlib.Path({str(run_folder)!r}, "generator.safetensors").write_text("weights")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path({str(run_folder)!r}, "started").touch()
signal.pause()
"""
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    while not (run_folder / "started").exists():
        time.sleep(0.01)

    ended = trainings.wait_and_save(campaign.until(1.0), process, run_folder, campaign.out, Event())

    assert ended == "stopped in time"
    assert (campaign.out / "generator.safetensors").read_text() == "weights"
    assert gzip.decompress((campaign.out / "metrics.jsonl.gz").read_bytes()) == b'{"step": 1}\n'


def test_a_model_that_fails_leaves_the_others_to_be_trained(campaign, monkeypatch):
    def train(campaign, training, stop):
        if training.recipe == "broken":
            raise StageError("broken has no weights")
        training.result["ended"] = "finished"

    monkeypatch.setattr(trainings, "train", train)
    result = {}
    campaign = replace(campaign, trainings=(("broken", "digits"), ("digits", "digits")))
    with pytest.raises(StageError, match="1-broken: broken has no weights"):
        trainings.trainings(campaign, result)
    assert result["summary"] == "1-broken: not started; 2-digits: finished"


def test_trainings_run_at_once_and_share_the_time(campaign, monkeypatch):
    at_once = Barrier(trainings.AT_ONCE, timeout=60)
    left = {}

    def train(campaign, training, stop):
        left[training.name] = campaign.seconds_left()
        at_once.wait()  # raises if the others do not come

    monkeypatch.setattr(trainings, "train", train)
    recipes = tuple((f"recipes/r{i}.toml", "digits") for i in range(2 * trainings.AT_ONCE))
    result = {}
    trainings.trainings(replace(campaign.until(100.0), trainings=recipes), result)

    assert sorted(left) == [f"{i + 1}-r{i}" for i in range(2 * trainings.AT_ONCE)]
    assert all(45.0 < seconds <= 50.0 for seconds in left.values())


def test_an_interrupt_ends_the_trainings_with_their_weights_saved(campaign, monkeypatch):
    """As Ctrl-C does, which the threads that wait for trainings do not get."""
    ended = []
    both = Barrier(2, timeout=60)

    def train(campaign, training, stop):
        both.wait()
        if training.recipe == "first":
            raise KeyboardInterrupt
        ended.append(stop.wait(60))

    monkeypatch.setattr(trainings, "train", train)
    campaign = replace(campaign, trainings=(("first", "digits"), ("second", "digits")))
    with pytest.raises(KeyboardInterrupt):
        trainings.trainings(campaign, {})
    assert ended == [True]


def test_a_training_names_its_recipe_and_its_images(tmp_path):
    assert gpu_campaign.read_training("dcgan64=cifar10") == ("dcgan64", "cifar10")
    assert gpu_campaign.read_training(f"dcgan64={tmp_path}") == ("dcgan64", str(tmp_path))
    with pytest.raises(argparse.ArgumentTypeError, match="RECIPE=DATA"):
        gpu_campaign.read_training("dcgan64")


def test_stages_that_do_not_exist_are_refused():
    assert gpu_campaign.read_stages("promise,export") == ("promise", "export")
    with pytest.raises(argparse.ArgumentTypeError, match="choose from versions, gpu-tests"):
        gpu_campaign.read_stages("promise,exprot")


def test_the_stages_fit_into_twenty_minutes_and_leave_time_to_train():
    budgets = [stage.budget_s for stage in gpu_campaign.STAGES]
    assert sum(budgets[:-1]) <= 20 * 60 - 60
