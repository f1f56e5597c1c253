"""Two processes that train together do what one does with the whole batch."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dcgan.training.config import Recipe
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader
from dcgan.training.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    init_distributed,
    shutdown_distributed,
)
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.state import TrainingState, create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.progress import Progress
from dcgan.training.options import TrainOptions
from dcgan.training.run_comparison import check_processes_agree
from dcgan.training.run_config import RunConfig
from dcgan.training.run_folder import RunFolder, read_run
from dcgan.training.tensor_file import read_tensors

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
Pairs = dict[str, torch.Tensor]


def gradients(
    recipe: Recipe, dataset: Dataset, context: DistributedContext, step_number: int
) -> Pairs:
    """Returns the gradients of both networks in a step, its metrics, and batch-norm statistics."""
    state = create_training_state(recipe, 0, CPU, context)
    for adam in (state.generator_adam, state.discriminator_adam):
        adam.step = lambda: None

    step = TrainingStep(recipe, state, "fp32", context)
    loader = BatchLoader(dataset, recipe, 0, CPU, context)
    batch = loader.batch(step_number)
    phase = step.train_discriminator(batch)
    found = {f"D.{name}": p.grad.clone() for name, p in state.discriminator.named_parameters()}
    found["metrics"] = step.train_generator(batch, phase)
    found |= {f"G.{name}": p.grad.clone() for name, p in state.generator.named_parameters()}
    return found | _buffers(state)


def _buffers(state: TrainingState) -> Pairs:
    networks = {"G": state.generator, "D": state.discriminator}
    return {
        f"{key}.{name}": b.clone()
        for key, network in networks.items()
        for name, b in network.named_buffers()
    }


def join(rank: int, port: int) -> DistributedContext:
    torch.set_num_threads(1)
    place = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    place["TORCHELASTIC_USE_AGENT_STORE"] = (
        True  # the first process need not open the port: it is open
    )
    os.environ |= {name: str(value) for name, value in place.items()}
    return init_distributed("cpu")


def work(
    rank: int, port: int, cases: list[tuple[Recipe, int]], dataset: Dataset, out: Path
) -> None:
    context = join(rank, port)
    torch.save(
        [gradients(recipe, dataset, context, step) for recipe, step in cases], out / f"{rank}.pt"
    )
    shutdown_distributed(context)


RunBoth = Callable[..., None]


@pytest.fixture(scope="session")
def run_both(forkserver) -> RunBoth:
    """Runs a function in two processes that train together: target(rank, port, *arguments)."""

    def run(target: Callable[..., None], *arguments: object) -> None:
        # As torchrun does, hold the store in which the processes meet.
        store = torch.distributed.TCPStore("127.0.0.1", 0, 1, True, wait_for_workers=False)
        processes = [
            forkserver.Process(target=target, args=(rank, store.port, *arguments))
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        for process in processes:
            if (
                process.exitcode is None
            ):  # it waits for the other one, which has failed or waits too
                process.kill()
                process.join()

        assert [process.exitcode for process in processes] == [0, 0]

    return run


def cases(small: Recipe) -> dict[str, tuple[Recipe, int]]:
    def with_norm(norm: str, **changes: object) -> Recipe:
        return replace(small, discriminator=replace(small.discriminator, norm=norm), **changes)

    everything = {"augment": ("colour", "translation", "cutout"), "flip": True}
    networks = {
        name: replace(getattr(small, name), classes=2) for name in ("generator", "discriminator")
    }
    return {
        "batch norm, cross entropy": (small, 0),
        "a smaller last batch": (small, 2),
        "an odd batch": (replace(small, batch_size=7), 0),
        "spectral norm, hinge": (with_norm("spectral", loss="hinge", **everything), 0),
        "relativistic, R1 and R2": (with_norm("none", loss="relativistic", r1=1.0, r2=2.0), 0),
        "R1 through batch norm": (replace(small, r1=1.0), 0),
        "classes": (replace(small, **networks), 1),
    }


@pytest.fixture(scope="module")
def shards(run_both, small, dataset, tmp_path_factory) -> list[list[Pairs]]:
    """What each of two processes finds in every case."""
    out = tmp_path_factory.mktemp("distributed")
    run_both(work, list(cases(small).values()), dataset, out)
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


def resume(rank: int, port: int, config: RunConfig, dataset: Dataset, out: Path) -> None:
    """Trains 4 steps; then again, from step 2 with a trainer that gets the main process's state."""
    context = join(rank, port)
    whole, first, second = (Trainer(config, dataset, context) for _ in range(3))
    for _ in range(4):
        whole.train_step()
    for _ in range(2):
        first.train_step()
    (out / f"checkpoint-{rank}").write_bytes(first.encode_checkpoint())
    if context.is_main:
        second.load_checkpoint(out / "checkpoint-0")
    second.broadcast_state()
    for _ in range(2):
        second.train_step()

    assert second.encode_checkpoint() == whole.encode_checkpoint()
    shutdown_distributed(context)


def test_a_distributed_run_resumes_to_the_same_bits(run_both, configure, dataset, tmp_path):
    run_both(resume, configure(steps=4, ema_half_life=50), dataset, tmp_path)
    assert (tmp_path / "checkpoint-0").read_bytes() == (tmp_path / "checkpoint-1").read_bytes()


def stop_one(rank: int, port: int, config: RunConfig, dataset: Dataset, out: Path) -> None:
    """The process that does not write is told to stop at once."""
    context = join(rank, port)
    stop = StopSignal()
    if not context.is_main:
        stop.received = signal.SIGTERM
    trainer, folder = Trainer(config, dataset, context), RunFolder(out / "run")
    train(trainer, folder, Progress(config.steps), stop, CheckpointSchedule())
    assert trainer.step == 10  # where they meet
    shutdown_distributed(context)


def test_a_request_to_stop_one_process_stops_all(run_both, configure, dataset, tmp_path):
    run_both(stop_one, configure(steps=1000), dataset, tmp_path)
    assert read_tensors(tmp_path / "run" / "checkpoint.safetensors")[1]["step"] == 10


def spoil_one(rank: int, port: int, config: RunConfig, dataset: Dataset, out: Path) -> None:
    """A weight of the process that does not write becomes NaN, and with it all gradients."""
    context = join(rank, port)
    trainer, folder = Trainer(config, dataset, context), RunFolder(out / "run")
    if not context.is_main:
        train_step = trainer.train_step

        def spoilt() -> torch.Tensor:
            if trainer.step == 12 and trainer.rollbacks == 0:
                with torch.no_grad():
                    trainer.state.generator.head.weight[0] = float("nan")
            return train_step()

        trainer.train_step = spoilt
    train(
        trainer,
        folder,
        Progress(config.steps),
        StopSignal(),
        CheckpointSchedule(steps=10),
        on_collapse="rollback",
    )
    assert (trainer.step, trainer.rollbacks) == (30, 1)
    shutdown_distributed(context)


def test_all_processes_are_rewound_together(run_both, configure, dataset, tmp_path):
    run_both(spoil_one, configure(steps=30, epochs=40), dataset, tmp_path)
    assert read_tensors(tmp_path / "run" / "checkpoint.safetensors")[1] == {"step": 30, "detour": 1}


def differ(rank: int, port: int, config: RunConfig, out: Path) -> None:
    """The second process has other images, and another processor."""
    context = join(rank, port)
    check_processes_agree(context, replace(config, hardware=f"processor {rank}"))

    if context.is_main:
        check_processes_agree(context, config)
    else:
        other = replace(config, data=replace(config.data, sha256="0" * 64))
        with pytest.raises(
            TrainingError,
            match=r"process 1 .* differs from process 0: data digest = 0+, not .*same images",
        ):
            check_processes_agree(context, other)
        (out / "said").touch()
    shutdown_distributed(context)


def test_a_process_with_other_images_is_refused(run_both, configure, tmp_path):
    run_both(differ, configure(), tmp_path)
    assert (tmp_path / "said").exists()


def leave_one(rank: int, port: int, config: RunConfig, dataset: Dataset, out: Path) -> None:
    """The process that does not write ends as if it were killed."""
    context = join(rank, port)
    trainer = Trainer(config, dataset, context)
    trainer.train_step()
    if not context.is_main:
        os._exit(0)
    with pytest.raises(TrainingError, match="one of the 2 processes of this run failed"):
        trainer.train_step()
    (out / "said").touch()


def test_a_lost_process_is_reported(run_both, configure, dataset, tmp_path):
    run_both(leave_one, configure(steps=5), dataset, tmp_path)
    assert (tmp_path / "said").exists()


@pytest.mark.numerical
@pytest.mark.parametrize("number", range(7))
def test_two_processes_compute_the_gradients_of_one(small, dataset, shards, number):
    recipe, step = list(cases(small).values())[number]
    alone = gradients(recipe, dataset, SINGLE_PROCESS, step)
    first, second = shards[0][number], shards[1][number]
    assert alone.keys() == first.keys() == second.keys()
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(
            first[name], expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()) + 1e-9
        ), name


def torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "dcgan.training", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env=environment
    )


SMALL_RUN = [
    "--recipe", "digits", "--set", "generator.width=4", "--set", "discriminator.width=4",
    "--set", "batch_size=8", "--set", "average_images=50", "--set", "sample_steps=5",
]  # fmt: skip


def test_torchrun_trains_as_one_process_does(images, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    first = torchrun("--data", images, *SMALL_RUN, "--steps", 12, "--out", together)

    assert first.returncode == 0, first.stderr
    assert first.stdout.count("done after 12 of 12 steps") == 1  # only the first process writes
    single = [sys.executable, "-m", "dcgan.training", "--data", str(images), *SMALL_RUN]
    subprocess.run([*single, "--steps", "12", "--out", str(alone)], check=True, capture_output=True)
    for name in ("generator", "discriminator"):
        a, b = (read_tensors(folder / f"{name}.safetensors")[0] for folder in (together, alone))
        distances = torch.cat([(a[key] - b[key]).abs().flatten().float() for key in a])
        assert distances.median() < 1e-5
    rows = [
        [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()]
        for f in (together, alone)
    ]
    assert [row["images"] for row in rows[0]] == [row["images"] for row in rows[1]]
    for a, b in zip(*rows, strict=True):
        assert a["loss_D"] == pytest.approx(b["loss_D"], rel=0.01)
    assert "2 processes" in read_run(together).training.hardware


def test_more_processes_than_images_are_refused(small, dataset):
    options = TrainOptions(
        recipe=None, changes=(), steps=None, epochs=None, seed=None, device="cpu", precision=None
    )
    options.resolve_config(
        small, dataset, None, DistributedContext(world_size=4)
    )  # the last batch has 4 images

    with pytest.raises(
        TrainingError, match="a batch of 4 images is too small for 5 processes; use fewer of them"
    ):
        options.resolve_config(small, dataset, None, DistributedContext(world_size=5))
    options.resolve_config(
        replace(small, whole_batches=True), dataset, None, DistributedContext(world_size=5)
    )
