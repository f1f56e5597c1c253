"""How many engines are opened, with how many threads, on which GPUs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dcgan.core import noise
from dcgan.core.onnx_session import CPU, CUDA
from dcgan.serving.client import Client
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines, share_processors, spread
from dcgan.zoo.repository import find_release
from tests.serving.support import refuse_to_start


@pytest.mark.parametrize(
    ("provider", "processors", "instances", "threads", "shared"),
    [
        (CPU, 1, 0, 0, (1, 1)),
        (CPU, 2, 0, 0, (2, 1)),
        (CPU, 6, 0, 0, (6, 1)),
        (CPU, 12, 0, 0, (6, 2)),
        (CPU, 15, 0, 0, (7, 2)),
        (CPU, 64, 0, 0, (8, 8)),
        (CPU, 4, 1, 0, (1, 4)),
        (CPU, 4, 8, 0, (8, 1)),
        (CPU, 4, 0, 4, (1, 4)),
        (CPU, 4, 0, 16, (1, 16)),
        (CPU, 4, 3, 2, (3, 2)),
        (CUDA, 16, 0, 0, (2, 8)),
        (CUDA, 16, 2, 0, (2, 8)),
    ],
)
def test_engines_share_the_processors(provider, processors, instances, threads, shared):
    config = share_processors(
        EngineConfig(instances=instances, intra_op_threads=threads), provider, processors
    )
    assert (config.instances, config.intra_op_threads) == shared


@pytest.mark.parametrize(("threads", "objects"), [(1, 1), (2, 3)])
def test_engines_of_one_thread_share_the_weights(repository, threads, objects):
    release = find_release(repository, "tiny")
    config = EngineConfig(device="cpu", instances=3, intra_op_threads=threads)
    engines = open_engines(release.folder / "generator.onnx", release.manifest, config)
    assert (len(engines), len(set(engines))) == (3, objects)


def test_threads_that_call_one_engine_at_once_get_their_own_images(repository, expected):
    release = find_release(repository, "tiny")
    config = EngineConfig(device="cpu", instances=4, intra_op_threads=1)
    engines = open_engines(release.folder / "generator.onnx", release.manifest, config)
    wanted = [expected("tiny", 7, range(n)) for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(
            lambda i: engines[i % 4].run(noise.latents(7, 0, i % 8 + 1, 8), None), range(400)
        )
        for i, images in enumerate(made):
            np.testing.assert_array_equal(images, wanted[i % 8])


def test_instances_take_turns_on_the_gpus():
    assert spread(5, (0, 1)) == [0, 1, 0, 1, 0]
    assert spread(2, (3,)) == [3, 3]


def test_each_gpu_has_two_instances_by_default():
    config = share_processors(EngineConfig(devices=(0, 1)), CUDA, 16)
    assert config.instances == 4


def test_asked_for_cuda_without_a_gpu_it_refuses_to_start(repository):
    said = refuse_to_start(repository, "--model", "tiny", "--device", "cuda")
    assert "--device cpu" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--instances", "1"),
        ("--instances", "3"),
        ("--intra-op-threads", "2"),
        ("--max-batch-size", "3"),
        ("--quantum-images", "1"),
    ],
)
def test_the_bytes_do_not_depend_on_how_engines_run(start_server, only, expected, options):
    with start_server(only("tiny"), *options) as server, Client(server.target) as client:
        np.testing.assert_array_equal(client.generate(7, 50), expected("tiny", 7, range(50)))
