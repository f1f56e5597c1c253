"""NVIDIA Triton with its dynamic batcher around ONNX Runtime, and its own client.

It runs in its own environment:

    python3 -m venv triton && triton/bin/pip install nvidia-pytriton==0.7.0 onnxruntime-gpu==1.31.1
    triton/bin/python triton_server.py serve generator.onnx --ready-file FILE
    triton/bin/python triton_server.py load HOST:PORT N CALLERS SECONDS

The model runs in Triton's Python backend, the only one of that package. The server need not compute
the noise: clients send latent vectors that were drawn before.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time

import numpy as np

MODEL = "dcgan64"
LATENT_SIZE, IMAGE_SHAPE = 100, (64, 64, 3)
MAX_BATCH = 64
WARMUP_S = 0.5


def serve(path: str, ready_file: str) -> None:
    """Serves a model until SIGTERM, and writes a ready file; the log goes to standard error."""
    os.dup2(2, 1)
    import onnxruntime as ort
    from pytriton.decorators import batch
    from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @batch  # type: ignore[untyped-decorator]  # pytriton has no types
    def infer(z: np.ndarray) -> list[np.ndarray]:
        images: list[np.ndarray] = session.run(None, {"z": z})
        return images

    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), free_ports(3), strict=True))
    with Triton(config=TritonConfig(log_verbose=0, **ports)) as triton:
        triton.bind(
            model_name=MODEL,
            infer_func=infer,
            inputs=[Tensor(name="z", dtype=np.float32, shape=(LATENT_SIZE,))],
            outputs=[Tensor(name="images", dtype=np.uint8, shape=IMAGE_SHAPE)],
            config=ModelConfig(max_batch_size=MAX_BATCH, batcher=DynamicBatcher()),
        )
        triton.run()
        with open(f"{ready_file}.part", "w") as file:
            json.dump({"address": f"127.0.0.1:{ports['grpc_port']}", "pid": os.getpid()}, file)
        os.replace(f"{ready_file}.part", ready_file)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        stop.wait()


async def load(target: str, n: int, callers: int, seconds: float) -> dict[str, float]:
    """Images a second, and latency by percentile, of callers with one request of n images each."""
    from tritonclient.grpc import InferInput
    from tritonclient.grpc.aio import InferenceServerClient

    z = InferInput("z", [n, LATENT_SIZE], "FP32")
    z.set_data_from_numpy(
        np.random.default_rng(0).standard_normal((n, LATENT_SIZE), dtype=np.float32)
    )
    start = time.perf_counter() + WARMUP_S
    end, times = start + seconds, []

    async def caller(client: InferenceServerClient) -> None:
        while (began := time.perf_counter()) < end:
            reply = await client.infer(MODEL, [z])
            assert reply.as_numpy("images").shape == (n, *IMAGE_SHAPE)
            now = time.perf_counter()
            if start <= now < end:
                times.append(now - began)

    async with InferenceServerClient(target) as client:
        await asyncio.gather(*(caller(client) for _ in range(callers)))
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return {"images_per_s": n * len(times) / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}


def free_ports(count: int) -> list[int]:
    """Free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> None:
    """Serves until the process is stopped."""
    match sys.argv[1:]:
        case ["serve", path, "--ready-file", ready_file]:
            serve(path, ready_file)
        case ["load", target, n, callers, seconds]:
            print(json.dumps(asyncio.run(load(target, int(n), int(callers), float(seconds)))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
