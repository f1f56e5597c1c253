"""Trains on handwritten digits, exports, serves, and draws, in one to three minutes.

Run by `make demo`. It empties demo/ first and writes everything there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.serving.launch import NotReadyError, launch_server

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = Path(sys.executable).parent
DEMO = ROOT / "demo"


def run(*command: str) -> None:
    """Shows a command, runs it, and stops the demo if it fails."""
    print(f"\n$ {' '.join(command)}", flush=True)
    # A second thread makes so small a network little faster, and on a busy machine much slower.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    arguments = [str(COMMANDS / command[0]), *command[1:]]
    code = subprocess.run(arguments, cwd=ROOT, env=environment, check=False).returncode
    if code:
        sys.exit(f"demo: {command[0]} failed with exit code {code}")


@contextmanager
def server(*command: str) -> Iterator[str]:
    """Runs the server for as long as the block lasts; gives its address."""
    print(f"\n$ {' '.join(command)} &", flush=True)
    arguments = [str(COMMANDS / command[0]), *command[1:]]
    try:
        with launch_server(arguments, cwd=ROOT) as running:
            yield running.address
    except NotReadyError:
        sys.exit(f"demo: {command[0]} did not start")


def main() -> None:
    """Trains, exports, serves and draws."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    run("dcgan-train", "--data", "digits", "--recipe", "digits", "--out", "demo/run", "--seed", "0")
    export = ("--out", "demo/models", "--name", "digits", "--onnx", "--torchscript")
    run("dcgan-export", "demo/run", *export)
    ports = ("--port", "0", "--metrics-port", "0", "--http-port", "0")
    with server("dcgan-serve", "--model-repository", "demo/models", *ports) as address:
        images = ("--seed", "7", "-n", "64", "--out", "demo/grid.png")
        run("dcgan-generate", *images, "--target", address)
    print(
        f"""
Done in {time.monotonic() - started:.0f} s. Look at
  demo/grid.png                     64 generated digits: seed 7, always the same
  demo/run/samples/                 how the generator learnt, and the real digits beside it
  demo/models/digits/1/README.md    the model card, with parity.json in the same folder
Try next
  .venv/bin/dcgan-serve
      serve the models that ship with the package
  .venv/bin/dcgan-generate --seed 7 -n 64 --out grid.png
      draw from it, in another terminal
  .venv/bin/dcgan-train --data FOLDER --epochs 10 --out runs/mine
      train on your own images, for a first look"""
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("demo: stopped")
