"""`dcgan-serve` and `dcgan-generate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import click

from dcgan.zoo.command import CONTEXT_SETTINGS, Command

_PORT = click.IntRange(0, 65535)
_UINT64 = click.IntRange(0, 2**64 - 1)


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--model-repository",
    type=click.Path(path_type=Path),
    help="Serve the newest version of every model in this folder, laid out as <name>/<version>/.  "
    "[default: the model that comes with the package]",
)
@click.option("--model", help="Model of requests that name none.  [default: the first by name]")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=_PORT, default=8001, help="Port of gRPC; 0 for any that is free.")
@click.option("--metrics-port", type=_PORT, default=8002, help="Port of Prometheus; 0 for any that is free.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="auto takes CUDA where there is a GPU."
)
def serve(
    *, model_repository: Path | None, model: str | None, host: str, port: int, metrics_port: int, device: str
) -> None:
    """Serves images over gRPC until it is told to stop."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said by us, in one sentence
    import asyncio

    from dcgan.serving.engine import EngineConfig
    from dcgan.serving.server import ServerConfig, run

    config = ServerConfig(
        model_repository=model_repository,
        model=model,
        host=host,
        port=port,
        metrics_port=metrics_port,
        engine=EngineConfig(device=device),
    )
    asyncio.run(run(config, lambda line: click.echo(f"dcgan-serve {line}")))


@click.command(cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--seed", type=_UINT64, required=True, help="Any 64-bit number; it names the images.")
@click.option("-n", "n", type=click.IntRange(1, 2**32 - 1), default=1, help="How many images.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="A .png for a grid, a .npy, or else a folder of PNGs."
)
@click.option("--target", default="127.0.0.1:8001", help="Address of the server.")
@click.option("--model", default="", help="Name of a model.  [default: the server's]")
@click.option("--model-version", type=click.IntRange(1, 2**32 - 1), help="Version of it.  [default: the newest]")
@click.option("--offset", type=_UINT64, default=0, help="Index of the first image.")
@click.option(
    "--label",
    type=click.IntRange(0, 2**32 - 1),
    help="Class of all images, for a conditional model.  [default: image i has class i mod classes]",
)
@click.option("--truncation", type=click.FloatRange(0, 1, min_open=True), help="Scale of the latent vectors.")
@click.option(
    "--format",
    "named",
    type=click.Choice(["auto", "grid", "npy", "folder"]),
    default="auto",
    help="What to write; auto goes by the ending of --out.",
)
@click.option("--timeout-s", type=click.FloatRange(0, min_open=True), default=60.0, help="Time to wait for images.")
def generate(
    *,
    seed: int,
    n: int,
    out: Path,
    target: str,
    model: str,
    model_version: int | None,
    offset: int,
    label: int | None,
    truncation: float | None,
    named: str,
    timeout_s: float,
) -> None:
    """Asks a server for images and writes them to a file or folder."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from dcgan.serving.client import Client, Options
    from dcgan.serving.output import choose_format, write_images

    chosen = choose_format(out, named)
    wanted = {"model": model, "version": model_version, "label": label, "truncation": truncation}
    options = cast("Options", {name: value for name, value in wanted.items() if value is not None})
    with Client(target, timeout_s=timeout_s) as client:
        images = client.generate(seed, n, offset=offset, **options)
    write_images(images, out, chosen, offset)
    click.echo(f"wrote images {offset} to {offset + n - 1} of seed {seed} to {out}")
