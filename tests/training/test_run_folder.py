"""The run folder: written whole, read strictly."""

import errno
import fcntl
import json
import os
import resource
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dcgan.core.schema import SchemaError
from dcgan.training import run_folder
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_config import CONFIG, read_config
from dcgan.training.run_folder import (
    GENERATOR,
    RunFolder,
    check_free,
    read_run,
)
from dcgan.training.tensor_file import encode_tensors


@pytest.fixture(scope="module")
def trained(tmp_path_factory, configure, dataset) -> Path:
    """A run of six steps: two epochs of 20 images in batches of 8."""
    folder = RunFolder(tmp_path_factory.mktemp("trained") / "run")
    config = configure(keep_epochs=2)
    folder.create(config)
    train(
        Trainer(config, dataset), folder, Progress(config.steps), StopSignal(), CheckpointSchedule()
    )
    return folder.path


@pytest.fixture
def run(tmp_path, trained) -> Path:
    """A copy of `trained`, to be damaged."""
    return shutil.copytree(trained, tmp_path / "run")


def rewrite(path: Path, **changes: torch.Tensor) -> None:
    path.write_bytes(encode_tensors(load_file(path) | changes, {"step": 6, "images_seen": 40}))


def test_a_run_leaves_all_that_it_promises(run):
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    (events,) = (path for path in files if path.startswith("tensorboard/"))
    files -= {events}

    assert files == {
        "config.json",
        "metrics.jsonl",
        "history.png",
        "film.webp",
        "generator.safetensors",
        "discriminator.safetensors",
        "checkpoint.safetensors",
        "good.safetensors",
        "epochs/0002/generator.safetensors",
        "epochs/0002/discriminator.safetensors",
        "samples/real.png",
        "samples/step-000004.png",
        "samples/epoch-0001.png",
        "samples/epoch-0002.png",
    }
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["epoch"], line["images"]) for line in lines] == [
        (1, 1, 8), (2, 1, 16), (3, 1, 20), (4, 2, 28), (5, 2, 36), (6, 2, 40),
    ]  # fmt: skip
    assert all(
        0 < line[score] < 1 for line in lines for score in ("score_D", "score_G1", "score_G2")
    )
    assert str(run) not in (run / "config.json").read_text()


def test_a_run_is_read_as_it_was_written(run, dataset):
    read = read_run(run)
    assert not read.generator.training
    assert read.training.images_seen == 40
    assert (read.training.steps, read.training.planned_steps) == (6, 6)
    assert read.training.data_sha256 == dataset.sha256
    assert read.training.data == f"{dataset.name}, 20 images"
    assert read.class_names == ()
    assert read.description == "Nothing to look at"
    for name, tensor in load_file(run / GENERATOR).items():
        assert torch.equal(read.generator.state_dict()[name], tensor)


def test_a_missing_or_foreign_folder_is_refused(run, tmp_path):
    with pytest.raises(TrainingError, match="is not a run folder"):
        read_run(tmp_path / "none")
    with pytest.raises(TrainingError, match="is not a run folder"):
        read_run(tmp_path)
    (run / GENERATOR).unlink()
    with pytest.raises(TrainingError, match="has not saved its generator"):
        read_run(run)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 1}', '{"a": 1, "a": 2}'])
def test_a_damaged_configuration_is_refused(run, text):
    (run / CONFIG).write_text(text)
    with pytest.raises(SchemaError, match=CONFIG):
        read_run(run)


def test_the_configuration_of_another_release_is_refused(run):
    config = json.loads((run / CONFIG).read_text())
    (run / CONFIG).write_text(json.dumps(config | {"schema_version": 2}))
    with pytest.raises(SchemaError, match="schema version 2"):
        read_run(run)


def test_weights_that_do_not_match_the_recipe_are_refused(run):
    config = json.loads((run / CONFIG).read_text())
    config["recipe"]["generator"]["width"] = 5
    (run / CONFIG).write_text(json.dumps(config))
    with pytest.raises(
        TrainingError, match="does not fit the recipe in config.json: size mismatch"
    ) as caught:
        read_run(run)
    assert "\n" not in str(caught.value)


def test_missing_and_surplus_weights_are_refused(run):
    rewrite(run / GENERATOR, surplus=torch.zeros(1))
    with pytest.raises(TrainingError, match="does not fit the recipe"):
        read_run(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(run, value):
    weight = load_file(run / GENERATOR)["head.weight"]
    weight[0, 0, 0, 0] = value
    rewrite(run / GENERATOR, **{"head.weight": weight})
    with pytest.raises(TrainingError, match="not finite, in head.weight"):
        read_run(run)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_weights_are_refused(run, keep):
    data = (run / GENERATOR).read_bytes()
    (run / GENERATOR).write_bytes(data[:keep])
    with pytest.raises(TrainingError, match="generator.safetensors is damaged"):
        read_run(run)


def test_weights_without_their_history_are_refused(run):
    save_file(load_file(run / GENERATOR), run / GENERATOR)
    with pytest.raises(TrainingError, match="generator.safetensors is damaged"):
        read_run(run)


def test_weights_that_were_changed_are_refused(run):
    data = bytearray((run / GENERATOR).read_bytes())
    data[-1] ^= 1
    (run / GENERATOR).write_bytes(data)
    with pytest.raises(TrainingError, match="its digest does not match"):
        read_run(run)


def test_facts_that_were_changed_are_refused(run):
    data = (run / GENERATOR).read_bytes()
    assert data.count(b'\\"images_seen\\": 40') == 1
    (run / GENERATOR).write_bytes(data.replace(b'\\"images_seen\\": 40', b'\\"images_seen\\": 99'))
    with pytest.raises(TrainingError, match="its digest does not match"):
        read_run(run)


def test_an_output_folder_that_is_taken_is_refused(tmp_path):
    check_free(tmp_path / "new")
    with RunFolder(tmp_path).lock():
        check_free(tmp_path)
    (tmp_path / "file").write_text("mine")

    with pytest.raises(TrainingError, match="is not empty; choose another --out$"):
        check_free(tmp_path)
    (tmp_path / CONFIG).touch()
    with pytest.raises(TrainingError, match="another --out, or continue its run with --resume$"):
        check_free(tmp_path)
    with pytest.raises(TrainingError, match="is a file; choose another --out"):
        check_free(tmp_path / "file")


def test_a_disk_without_locks_is_named_with_the_cure(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(TrainingError, match="has no file locks; choose an --out on a local disk"),
        RunFolder(tmp_path / "run").lock(),
    ):
        pass


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    leftover = tmp_path / ".checkpoint.safetensors.0123456789abcdef.part"
    leftover.write_bytes(b"half")
    with RunFolder(tmp_path).lock():
        assert not leftover.exists()


@pytest.mark.hostile("A run configuration of a terabyte", "refused after 16 MiB")
def test_a_config_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / CONFIG).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TrainingError, match="cannot read .*: it has over 16 MiB"):
        read_config(tmp_path)


@pytest.mark.hostile(
    "A run configuration that asks for a network of gigabytes", "compared with the weights first"
)
def test_a_config_that_asks_for_gigabytes_does_not_get_them(run):
    config = json.loads((run / CONFIG).read_text())
    config["recipe"]["generator"] |= {"width": 1024, "latent_size": 65536}
    (run / CONFIG).write_text(json.dumps(config))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        TrainingError, match="does not fit the recipe in config.json: size mismatch"
    ):
        read_run(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**20  # KiB


@pytest.mark.hostile(
    "A stranger's run folder with links to files elsewhere, given to `--resume`",
    "refused; the files are not replaced",
)
def test_links_out_of_a_run_folder_are_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "run" / "here").symlink_to("samples")
    folder.check_links()

    (tmp_path / "mine").write_text("mine")
    link = tmp_path / "run" / "samples" / "step-000001.png"
    for target in (tmp_path / "mine", "../../mine", "/nowhere", "step-000001.png"):
        link.symlink_to(target)
        with pytest.raises(TrainingError, match="is a link that leads out of the run folder"):
            folder.check_links()
        link.unlink()


@pytest.mark.hostile(
    "A run configuration with no images, negative steps or numbers of 400 digits", "refused"
)
@pytest.mark.parametrize(
    "change",
    [{"images": 0}, {"images": -1}, {"images": 10**400}, {"image_size": 0}, {"steps": -1}],
    ids=str,
)
def test_impossible_numbers_in_a_config_are_refused(run, change):
    config = json.loads((run / CONFIG).read_text())
    config["steps"] = change.pop("steps", config["steps"])
    config["data"] |= change
    (run / CONFIG).write_text(json.dumps(config))
    with pytest.raises(SchemaError, match="impossible numbers of images or steps"):
        read_config(run)


def test_special_files_in_a_run_folder_are_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    (tmp_path / "run" / "samples").mkdir(parents=True)
    os.mkfifo(tmp_path / "run" / "samples" / "real.png")
    with pytest.raises(TrainingError, match="real.png is neither a file nor a folder"):
        folder.check_links()


@pytest.mark.hostile(
    "A sparse file of 2 GB as weights or checkpoint of a stranger's run",
    "its header is compared with the recipe; the rest is not read",
)
def test_weights_of_gigabytes_are_refused_unread(run, write_holes, monkeypatch):
    monkeypatch.setattr(run_folder, "read_tensors", lambda _: pytest.fail("read"))
    write_holes(run / GENERATOR)
    with pytest.raises(TrainingError, match="does not fit the recipe in config.json"):
        read_run(run)


def test_weights_of_another_type_are_refused(run):
    rewrite(run / GENERATOR, **{"head.weight": load_file(run / GENERATOR)["head.weight"].half()})
    with pytest.raises(TrainingError, match="does not fit the recipe .* its types differ"):
        read_run(run)
