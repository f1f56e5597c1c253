"""The gate on CUDA, with the CPU provider in its place: quiet, one batch size, one thread."""

import threading

import onnxruntime
import pytest
from click.testing import CliRunner

from dcgan.core import onnx_session
from dcgan.core.onnx_session import (
    CPU,
    CUDA,
    DEFAULT_CUDA_BATCH_SIZE,
    cuda_options,
    session_options,
)
from dcgan.export import timing
from dcgan.export.cli import main
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.formats.writer import write_files
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.graph.stages import NetworkStages
from dcgan.export.options import ExportOptions
from dcgan.export.release.golden_images import golden_digests
from dcgan.export.release.manifest import draft_manifest
from dcgan.export.verify import loading, probes, quality
from dcgan.export.verify.backends import EagerBackend, OnnxBackend
from dcgan.export.verify.gate import verify_files
from dcgan.export.verify.quality import measure_quality

FATAL, WARNING = 4, 2


class Runtime:
    """ONNX Runtime, which runs on the CPU what is to run on CUDA, and remembers what it was asked.

    Attributes:
        opened: log level, providers and entries of each session on CUDA.
        batches: sizes of the batches that sessions on CUDA ran.
        threads: identifiers of the threads that ran them.
    """

    def __init__(self):
        self.opened = []
        self.batches = []
        self.threads = set()

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    def InferenceSession(self, content, options, providers, enable_fallback):  # noqa: N802
        provider, chosen = providers[0] if isinstance(providers[0], tuple) else (providers[0], {})
        if provider != CUDA:
            return onnxruntime.InferenceSession(content, options, providers=providers)
        fallback = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        self.opened.append((options.log_severity_level, chosen, fallback, enable_fallback))
        on_cpu = session_options(intra_op_threads=1)
        return Session(onnxruntime.InferenceSession(content, on_cpu, providers=[CPU]), self)


class Session:
    def __init__(self, session, runtime):
        self._session = session
        self._runtime = runtime

    def get_providers(self):
        return [CUDA]

    def run(self, outputs, feeds):
        self._runtime.batches += [len(value) for value in feeds.values()]
        self._runtime.threads.add(threading.get_ident())
        return self._session.run(outputs, feeds)


@pytest.fixture
def runtime(monkeypatch):
    runtime = Runtime()
    monkeypatch.setattr(onnx_session, "load_onnxruntime", lambda: runtime)
    monkeypatch.setattr(loading, "available_providers", lambda: [CPU, CUDA])
    monkeypatch.setattr(probes, "BATCHES", (1, 2, 7))
    monkeypatch.setattr(probes, "SEEDS", (0, 1))
    return runtime


def test_the_gate_opens_sessions_as_the_server_does_and_runs_one_batch_size(run, runtime, tmp_path):
    options = ExportOptions(name="small", version=1, formats=("onnx",), target="cuda")
    draft = draft_manifest(run, options)
    network = fold(run.generator)
    files = write_files(network, tmp_path, options, metadata="{}")
    verification = verify_files(
        NetworkStages(run.generator, network, network), files, tmp_path, draft
    )
    verification.report.raise_failure()
    digests = golden_digests(verification.backends, draft)

    server = session_options().log_severity_level
    assert runtime.opened == [(server, cuda_options("fp32"), "1", 0)] * 2  # pixels and floats
    assert server == FATAL
    assert len(runtime.batches) > 10
    assert set(runtime.batches) == {DEFAULT_CUDA_BATCH_SIZE}
    assert runtime.threads == {threading.get_ident()}
    assert {each.provider: each.batch_size for each in digests} == {
        CPU: None,
        CUDA: DEFAULT_CUDA_BATCH_SIZE,
    }
    assert len({each.sha256 for each in digests}) == 1


@pytest.mark.slow
def test_many_images_run_on_cuda_without_padding_and_against_one_reference(
    generator, runtime, tmp_path, monkeypatch
):
    monkeypatch.setattr(quality, "QUALITY_IMAGES", 1024)
    network = fold(generator)
    path = tmp_path / "g.onnx"
    write_onnx(build_onnx(network), path)
    backends = [OnnxBackend(path, "fp16", provider) for provider in (CPU, CUDA)]
    reference = EagerBackend(network, "released network")
    sizes = []
    monkeypatch.setattr(
        reference, "images", lambda z: sizes.append(len(z.z)) or EagerBackend.images(reference, z)
    )

    on_cpu, on_cuda = measure_quality(backends, reference, 10)
    assert on_cpu == on_cuda
    assert sum(sizes) == 1024
    assert runtime.batches == [DEFAULT_CUDA_BATCH_SIZE] * (1024 // DEFAULT_CUDA_BATCH_SIZE)
    assert runtime.threads == {threading.get_ident()}


def test_verbose_shows_what_onnx_runtime_logs(release, monkeypatch):
    monkeypatch.setattr(onnx_session._Log, "severity", FATAL)
    monkeypatch.setattr(timing._Shown, "is_on", False)
    levels = []
    real = onnxruntime.InferenceSession

    def open_session(content, options, **others):
        levels.append(options.log_severity_level)
        return real(content, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    result = CliRunner().invoke(main, ["--check", str(release.folder), "--verbose"])
    onnxruntime.set_default_logger_severity(FATAL)
    assert result.exit_code == 0, result.output
    assert set(levels) == {WARNING}
    assert "time: " in result.stderr
    assert "run generator.onnx on CPUExecutionProvider" in result.stderr


def test_it_is_quiet_by_default():
    assert session_options().log_severity_level == FATAL
