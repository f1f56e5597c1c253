"""The engine of one padded batch size. Without a GPU, the CPU provider takes the place of CUDA."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dcgan.core import noise
from dcgan.core.cuda_driver import count_gpus
from dcgan.core.onnx_session import CPU, CUDA, cuda_options
from dcgan.serving.engine import factory
from dcgan.serving.engine.base import EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.fixed_batch import FixedBatchEngine
from dcgan.zoo.repository import find_release
from tests.core.fake_cuda import FakeDriver
from tests.serving.cuda_on_cpu import run_cuda_on_cpu

PINNED = "CUDA's code on the CPU"
PROVIDERS = [CPU, PINNED, pytest.param(CUDA, marks=pytest.mark.gpu)]


@pytest.fixture(params=PROVIDERS)
def open_engine(repository, request, monkeypatch):
    """A function that opens an engine of a model in batches of some size."""
    provider = request.param
    if provider == PINNED:
        run_cuda_on_cpu(monkeypatch, FakeDriver())
        provider = CUDA

    def open_on_provider(name: str, batch_size: int, **changes: object) -> FixedBatchEngine:
        release = find_release(repository, name)
        config = EngineConfig(cuda_batch_size=batch_size, **changes)
        path = release.folder / "generator.onnx"
        return FixedBatchEngine(path, release.manifest, config, provider=provider)

    return open_on_provider


def levels_off(engine: FixedBatchEngine, images: np.ndarray, wanted: np.ndarray) -> None:
    """Checks images against those of the CPU: equal there, within one grey level on CUDA."""
    difference = np.abs(images.astype(int) - wanted.astype(int)).max()
    assert difference <= (1 if count_gpus() else 0)


def test_any_number_of_images_up_to_the_batch_size(open_engine, expected):
    engine = open_engine("tiny", 8)
    for n in (8, 3, 1, 8):
        images = engine.run(noise.latents(7, n, n, 8), None)
        assert images.shape[0] == n
        levels_off(engine, images, expected("tiny", 7, range(n, 2 * n)))


def test_an_image_does_not_depend_on_its_position_or_its_neighbours(open_engine):
    engine = open_engine("tiny", 16)
    alone = engine.run(noise.latents(7, 0, 1, 8), None)[0]
    rng = np.random.default_rng(0)
    for size in (2, 7, 16, 16, 16):
        z = noise.latents(int(rng.integers(2**63)), 0, size, 8)
        position = int(rng.integers(size))
        z[position] = noise.latents(7, 0, 1, 8)[0]
        np.testing.assert_array_equal(engine.run(z, None)[position], alone)


def test_two_engines_make_the_same_bytes(open_engine):
    first = open_engine("tiny", 16)
    second = open_engine("tiny", 16, cuda_graphs=False)
    for n in (1, 5, 16):
        z = noise.latents(9, 0, n, 8)
        np.testing.assert_array_equal(first.run(z, None), second.run(z, None))


def test_the_next_batch_leaves_earlier_images_unchanged(open_engine):
    engine = open_engine("tiny", 4)
    first = engine.run(noise.latents(7, 0, 4, 8), None)
    kept = first.copy()
    engine.run(noise.latents(7, 4, 4, 8), None)
    np.testing.assert_array_equal(first, kept)


def test_labels_choose_the_class(open_engine, expected):
    engine = open_engine("classy", 8)
    for label in (2, 1):
        images = engine.run(noise.latents(7, 0, 5, 8), np.full(5, label))
        levels_off(engine, images, expected("classy", 7, range(5), label))


def test_several_threads_may_call_one_engine(open_engine):
    engine = open_engine("tiny", 8)
    alone = [engine.run(noise.latents(7, 0, n, 8), None) for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda i: engine.run(noise.latents(7, 0, i % 8 + 1, 8), None), range(200))
    for i, images in enumerate(made):
        np.testing.assert_array_equal(images, alone[i % 8])


def test_padding_is_what_is_missing_to_the_batch_size(open_engine):
    engine = open_engine("tiny", 8)
    assert (engine.batch_size, engine.max_batch) == (8, 8)
    assert [engine.padding(n) for n in (1, 5, 8)] == [7, 3, 0]


def test_a_failed_batch_is_an_engine_error(open_engine):
    engine = open_engine("tiny", 4)
    with pytest.raises(EngineError):
        engine.run(np.zeros((5, 8), dtype=np.float32), None)
    assert engine.run(noise.latents(7, 0, 4, 8), None).shape[0] == 4


def open_in_place_of_cuda(repository, **options) -> FixedBatchEngine:
    release = find_release(repository, "tiny")
    path = release.folder / "generator.onnx"
    config = EngineConfig(cuda_batch_size=4)
    return FixedBatchEngine(path, release.manifest, config, provider=CUDA, **options)


def test_a_graph_that_cannot_be_captured_is_logged_and_left_out(
    repository, monkeypatch, caplog, expected
):
    driver = FakeDriver()
    opened = run_cuda_on_cpu(monkeypatch, driver, refuse_graphs="not all nodes are on CUDA")
    with caplog.at_level(logging.WARNING):
        engine = open_in_place_of_cuda(repository, device_id=1)

    assert "not all nodes are on CUDA" in caplog.text
    assert [each.get("enable_cuda_graph") for each in opened] == ["1", None]
    assert {each["device_id"] for each in opened} == {"1"}
    assert driver.devices == [1]
    images = engine.run(noise.latents(7, 0, 2, 8), None)
    np.testing.assert_array_equal(images, expected("tiny", 7, range(2)))


def test_only_requested_images_are_copied_from_the_device(repository, monkeypatch):
    driver = FakeDriver()
    run_cuda_on_cpu(monkeypatch, driver)
    engine = open_in_place_of_cuda(repository)
    driver.sizes.clear()
    engine.run(noise.latents(7, 0, 3, 8), None)
    latents, images = 4 * 8 * 4, 3 * 8 * 8 * 3
    assert driver.sizes == [latents, images]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"refuse": "cuMemHostAlloc"}, "cuMemHostAlloc of the CUDA driver failed"),
        ({"refuse": "cuDevicePrimaryCtxRetain"}, "cuDevicePrimaryCtxRetain of the CUDA driver"),
        ({"damage": "cuMemcpyHtoDAsync_v2"}, "latent vectors changed on their way to the device"),
        ({"damage": "cuMemcpyDtoHAsync_v2"}, "images changed on their way from the device"),
    ],
)
def test_where_page_locked_memory_fails_onnx_runtime_copies_and_the_log_says_why(
    repository, monkeypatch, caplog, expected, *, fault, reason
):
    run_cuda_on_cpu(monkeypatch, FakeDriver(**fault))
    with caplog.at_level(logging.WARNING):
        engine = open_in_place_of_cuda(repository)
    assert reason in caplog.text
    images = engine.run(noise.latents(7, 0, 3, 8), None)
    np.testing.assert_array_equal(images, expected("tiny", 7, range(3)))


def test_engines_on_several_gpus_make_the_same_bytes(repository, monkeypatch, expected):
    driver = FakeDriver()
    opened = run_cuda_on_cpu(monkeypatch, driver)
    release = find_release(repository, "tiny")
    config = EngineConfig(device="cuda", devices=(0, 2), cuda_batch_size=4)
    engines = factory.open_engines(release.folder / "generator.onnx", release.manifest, config)

    assert [each["device_id"] for each in opened] == ["0", "2", "0", "2"]
    assert sorted(driver.devices) == [0, 0, 2, 2]
    wanted = expected("tiny", 7, range(3))
    for engine in engines:
        np.testing.assert_array_equal(engine.run(noise.latents(7, 0, 3, 8), None), wanted)


@pytest.mark.gpu
def test_copies_through_page_locked_memory_are_those_of_onnx_runtime(repository, caplog):
    with caplog.at_level(logging.WARNING):
        engine = open_in_place_of_cuda(repository)
    assert caplog.text == ""  # page-locked memory and a captured graph
    assert engine.run(noise.latents(7, 0, 4, 8), None).any()


def test_cuda_never_chooses_kernels_by_timing_and_never_rounds_to_tf32():
    for precision in ("fp32", "fp16"):
        options = cuda_options(precision, graphs=True)
        assert options["cudnn_conv_algo_search"] == "HEURISTIC"
        assert options["use_tf32"] == "0"
    assert cuda_options("fp16")["prefer_nhwc"] == "1"
    assert "prefer_nhwc" not in cuda_options("fp32")
