"""Runs that begin with the networks of another run."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dcgan.training import parent_run
from dcgan.training.cli import main
from dcgan.training.engine import checkpoint
from dcgan.training.engine.checkpoint import CHECKPOINT, checkpoint_tensors
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.models.ema import EMA
from dcgan.training.parent_run import check_same_shape, inherit_recipe, load_parent, read_parent
from dcgan.training.run_config import read_config
from dcgan.training.run_folder import CONFIG, RunFolder, read_run
from dcgan.training.tensor_file import encode_tensors, read_tensors


@pytest.fixture
def parent(configure, dataset, tmp_path):
    """A folder with a run of three steps, and its trainer."""

    def train(**changes) -> tuple[Path, Trainer]:
        trainer = Trainer(configure(steps=3, **changes), dataset)
        for _ in range(3):
            trainer.train_step()
        folder = RunFolder(tmp_path / "parent")
        folder.create(trainer.config)
        folder.write(CHECKPOINT, trainer.encode_checkpoint())
        return folder.path, trainer

    return train


@pytest.fixture
def begin(configure, dataset):
    """Makes the trainer of a run that begins with the networks of a parent."""

    def make(folder: Path, **changes) -> Trainer:
        config = replace(configure(**changes), init_from=read_parent(folder).record)
        trainer = Trainer(config, dataset)
        load_parent(trainer, folder, config.init_from)
        return trainer

    return make


def test_networks_and_ema_are_those_of_the_parent_and_optimizers_start_anew(parent, begin):
    folder, before = parent(ema_half_life=50)
    after = begin(folder, seed=9, ema_half_life=50)
    assert (after.step, after.images_seen) == (0, 0)
    old = checkpoint_tensors(before.state, before.ema)
    for name, tensor in checkpoint_tensors(after.state, after.ema).items():
        if "_adam." in name:
            assert not tensor.any(), name
        else:
            assert torch.equal(tensor, old[name]), name


def test_a_parent_without_an_ema_passes_its_weights_on(parent, begin):
    folder, before = parent()
    after = begin(folder, ema_half_life=50)
    trained = dict(before.state.generator.named_parameters())
    for name, weight in after.ema.generator.named_parameters():
        assert torch.equal(weight, trained[name])


def test_the_ema_is_continued_and_not_replaced_by_the_first_step(parent, begin):
    folder, _ = parent(ema_half_life=10_000)
    after = begin(folder, ema_half_life=10_000)
    wanted = EMA(after.state.generator, half_life=10_000, batch_size=8, seed=0)
    wanted.generator.load_state_dict(after.ema.generator.state_dict())
    after.train_step()
    wanted.update(after.state.generator, 20 + 8)  # the images of both runs
    for ours, theirs in zip(
        after.ema.generator.parameters(), wanted.generator.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_such_a_run_resumes_with_the_same_bits(parent, begin, dataset, tmp_path):
    folder, _ = parent(ema_half_life=50)
    trainer = begin(folder, steps=9, ema_half_life=50)
    trainer.train_step()
    path = tmp_path / "checkpoint"
    path.write_bytes(trainer.encode_checkpoint())
    resumed = Trainer(trainer.config, dataset)
    resumed.load_checkpoint(path)
    for each in (trainer, resumed):
        each.train_step()
    assert resumed.encode_checkpoint() == trainer.encode_checkpoint()


def test_images_of_all_ancestors_are_counted(parent, begin, tmp_path):
    folder, _ = parent()
    assert read_parent(folder).record.images_seen == 20  # an epoch in three batches
    child = begin(folder)
    child.train_step()
    grandchild = RunFolder(tmp_path / "child")
    grandchild.create(child.config)
    grandchild.write(CHECKPOINT, child.encode_checkpoint())
    assert read_parent(grandchild.path).record.images_seen == 28


def test_a_parent_that_has_changed_or_is_not_named_is_refused(parent, begin, configure, dataset):
    folder, before = parent()
    record = read_parent(folder).record
    trainer = Trainer(replace(configure(), init_from=record), dataset)
    with pytest.raises(TrainingError, match="give its --init-from again"):
        load_parent(trainer, None, record)
    before.train_step()
    (folder / CHECKPOINT).write_bytes(before.encode_checkpoint())
    with pytest.raises(TrainingError, match="has changed since this run was configured"):
        load_parent(trainer, folder, record)


def test_a_parent_that_saves_while_it_is_read_is_refused(parent, monkeypatch):
    folder, before = parent()

    def read_while_it_trains(path: Path):
        content = read_tensors(path)
        before.train_step()
        path.write_bytes(before.encode_checkpoint())
        return content

    monkeypatch.setattr(parent_run, "read_tensors", read_while_it_trains)
    with pytest.raises(TrainingError, match="has changed since this run was configured"):
        read_parent(folder)


def test_networks_of_another_shape_are_refused_with_the_value_that_differs(configure, small):
    config = configure()
    check_same_shape(replace(small, batch_size=4, loss="hinge"), config)
    wider = replace(small, discriminator=replace(small.discriminator, width=8))
    with pytest.raises(TrainingError, match=r"has discriminator\.width = 4, not 8, and networks"):
        check_same_shape(wider, config)


def test_the_recipe_is_that_of_the_parent_with_changes(configure):
    config = configure(batch_size=5)
    recipe = inherit_recipe(config, ("generator_adam.rate=1e-4",))
    assert (recipe.batch_size, recipe.generator_adam.rate) == (5, 1e-4)
    assert replace(recipe, generator_adam=config.recipe.generator_adam) == config.recipe


def test_augmentation_that_many_images_turned_off_returns(configure):
    config = configure(name="dcgan64", augment=(), augment_below=10)
    assert inherit_recipe(config, ()).augment
    assert not inherit_recipe(
        replace(config, recipe=replace(config.recipe, name="own")), ()
    ).augment


@pytest.fixture
def train(images, tmp_path):
    """Runs dcgan-train with an output; gives the result and the folder."""

    def run(name: str, *arguments: object):
        out = tmp_path / name
        result = CliRunner().invoke(
            main, ["--data", str(images), "--out", str(out), *map(str, arguments)]
        )
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result, out

    return run


@pytest.mark.slow
def test_the_command_begins_a_run_and_records_where_it_began(train):
    small = [f"generator.width={4}", "discriminator.width=4", "batch_size=8"]
    sets = [word for change in small for word in ("--set", change)]
    result, parent = train("parent", "--recipe", "digits", *sets, "--steps", 2)
    assert result.exit_code == 0, result.output

    # Begin a run with other steps and another rate.
    begin = ["--init-from", parent, "--steps", 3, "--set", "generator_adam.rate=1e-5"]
    result, child = train("child", *begin)
    assert result.exit_code == 0, result.output
    config = read_config(child)
    assert (config.recipe.name, config.recipe.generator.width) == ("digits", 4)
    assert config.recipe.generator_adam.rate == 1e-5
    assert config.init_from == read_parent(parent).record
    assert read_run(child).training.init_from == config.init_from
    assert str(parent) not in (child / "config.json").read_text()

    # Resume it, with and without --init-from.
    for again in (begin, []):
        assert train("child", "--resume", *again)[0].exit_code == 0

    # Refuse what cannot be meant, and name the cure.
    for name, arguments, said in (
        ("child", ["--resume", "--steps", 9], "a new run from its networks, with --init-from"),
        ("child", begin, "continue its run with --resume"),
        ("parent", ["--resume", "--init-from", child], "was not started with the networks of this"),
        ("b", ["--init-from", parent.parent], "is not a run folder"),
        ("b", ["--init-from", parent, "--set", "generator.width=8"], "generator.width = 4, not 8"),
        ("b", ["--init-from", parent, "--recipe", "dcgan32"], "the run of --init-from has"),
    ):
        result, _ = train(name, *arguments)
        assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not (parent.parent / "b").exists()


def test_a_run_without_a_checkpoint_cannot_be_a_parent(configure, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(configure())
    with pytest.raises(TrainingError, match="has no checkpoint yet; name another --init-from"):
        read_parent(folder.path)


def test_a_config_without_a_parent_is_written_as_before(configure, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(configure())
    assert "init_from" not in json.loads((folder.path / "config.json").read_text())


@pytest.mark.hostile(
    "A stranger's run for `--init-from` whose weights do not fit its configuration",
    "one sentence; nothing is loaded",
)
@pytest.mark.parametrize("change", ["missing", "shape", "broadcast"])
def test_weights_that_do_not_fit_the_parents_recipe_are_refused(parent, begin, change):
    folder, _ = parent()
    tensors, facts = read_tensors(folder / CHECKPOINT)
    name = "discriminator.head.weight"
    weight = tensors.pop(name)
    if change != "missing":
        tensors[name] = torch.cat([weight, weight]) if change == "shape" else weight.flatten()[:1]
    (folder / CHECKPOINT).write_bytes(encode_tensors(tensors, facts))
    with pytest.raises(TrainingError, match="does not fit the recipe in config.json beside it"):
        begin(folder)


@pytest.mark.parametrize("facts", [{}, {"step": -1}, {"step": 10**400}])
def test_a_checkpoint_without_its_steps_is_no_parent(parent, facts):
    folder, _ = parent()
    tensors, _ = read_tensors(folder / CHECKPOINT)
    (folder / CHECKPOINT).write_bytes(encode_tensors(tensors, facts))
    with pytest.raises(TrainingError, match="does not say how long it was trained"):
        read_parent(folder)


@pytest.mark.hostile(
    "A FIFO in the place of the checkpoint of a stranger's run",
    "refused; nothing waits for a writer",
)
def test_a_fifo_is_no_checkpoint(parent):
    folder, _ = parent()
    (folder / CHECKPOINT).unlink()
    os.mkfifo(folder / CHECKPOINT)
    with pytest.raises(TrainingError, match="is not a regular file"):
        read_parent(folder)
    with pytest.raises(TrainingError, match="is not a regular file"):
        read_tensors(folder / CHECKPOINT)


@pytest.mark.hostile(
    "Escapes and characters that turn the direction of writing in a parent's data name",
    "shown as `\\u202e` when the configuration is printed",
)
def test_what_a_parent_says_is_printed_without_controls(parent, images, tmp_path):
    folder, _ = parent()
    config = json.loads((folder / CONFIG).read_text())
    config["data"]["name"] = "x\x9b2J\u202e\u200b"
    (folder / CONFIG).write_text(json.dumps(config))
    arguments = ["--data", str(images), "--init-from", str(folder), "--dry-run"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "x\\u009b2J\\u202e" in result.stdout
    assert all(line.isprintable() for line in result.output.splitlines())


@pytest.mark.hostile(
    "A sparse file of 2 GB as the checkpoint of a run for `--init-from`",
    "its header is compared with the recipe; the rest is not read",
)
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "good.safetensors"])
def test_a_checkpoint_of_gigabytes_is_refused_unread(parent, write_holes, monkeypatch, name):
    folder, _ = parent()
    (folder / CHECKPOINT).unlink()
    write_holes(folder / name)
    for module in (parent_run, checkpoint):
        monkeypatch.setattr(module, "read_tensors", lambda _: pytest.fail("read"))
    monkeypatch.setattr(parent_run, "_file_digest", lambda _: pytest.fail("read"))
    with pytest.raises(TrainingError, match="does not fit the recipe|is missing although"):
        read_parent(folder)
