"""What a user writes in an afternoon: one gRPC handler around a network, each request by itself.

    python naive_server.py torch RUN_FOLDER --ready-file FILE
    python naive_server.py onnxruntime generator.onnx --ready-file FILE

It speaks `dcgan.v1`, so that the same load test measures it. As is usual, its images depend on n.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from dcgan.serving.ready_file import ReadyReport, write_ready_file
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1 import generator_pb2_grpc as rpc

Generate = Callable[[int, int], np.ndarray]
"""Seed and n to uint8 [n, H, W, C]."""


def torch_eager(run: Path) -> Generate:
    """PyTorch in eval mode, as the trained network stands."""
    import torch

    from dcgan.training.run_folder import read_run

    network = read_run(run).generator.eval()
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    def generate(seed: int, n: int) -> np.ndarray:
        z = torch.randn(
            n, network.config.latent_size, generator=torch.Generator().manual_seed(seed)
        )
        with torch.inference_mode():
            levels = ((network(z) + 1) * 127.5).round().to(torch.uint8)
        images: np.ndarray = levels.permute(0, 2, 3, 1).contiguous().numpy()
        return images

    return generate


def onnxruntime_session(path: Path) -> Generate:
    """ONNX Runtime with its defaults."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def generate(seed: int, n: int) -> np.ndarray:
        z = np.random.default_rng(seed).standard_normal((n, 100), dtype=np.float32)
        images: np.ndarray = session.run(None, {"z": z})[0]
        return images

    return generate


class NaiveService(rpc.GeneratorServiceServicer):
    """Answers `Generate`, and the load tool's first call."""

    def __init__(self, generate: Generate) -> None:
        self._generate = generate

    def Generate(self, request: pb.GenerateRequest, _: object) -> pb.GenerateResponse:  # noqa: N802
        """Generates the images of one request."""
        images = self._generate(request.seed, request.n)
        n, height, width, channels = images.shape
        return pb.GenerateResponse(
            pixels=images.tobytes(),
            n=n,
            height=height,
            width=width,
            channels=channels,
            offset=request.offset,
        )

    def GetModel(self, _: pb.GetModelRequest, __: object) -> pb.GetModelResponse:  # noqa: N802
        """Describes the model, as the load test requires."""
        _, height, width, channels = self._generate(0, 1).shape
        return pb.GetModelResponse(model=pb.Model(height=height, width=width, channels=channels))


def main() -> None:
    """Serves until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["torch", "onnxruntime"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--ready-file", type=Path, required=True)
    arguments = parser.parse_args()

    load = torch_eager if arguments.kind == "torch" else onnxruntime_session
    generate = load(arguments.path)
    server = grpc.server(ThreadPoolExecutor(10))  # the size in gRPC's own examples
    rpc.add_GeneratorServiceServicer_to_server(NaiveService(generate), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    report = ReadyReport(address=f"127.0.0.1:{port}", pid=os.getpid())
    write_ready_file(arguments.ready_file, report)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
