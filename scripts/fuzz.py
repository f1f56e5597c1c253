"""Fuzzes the parsers of untrusted input.

    python scripts/fuzz.py TARGET... [--seconds 300] [--artifacts FOLDER]

Each target gets valid files and mutations of them. A finding is an exception other than those that
the parser promises, a message that is not one printable line, a call of more than ten seconds, or
2 GiB of memory. Exit code 0 only if there is none; the input of a finding stays in FOLDER.

With atheris (extra `fuzz`) mutations are guided by coverage. Without it, bytes change at random.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzzing.target import Target

NAMES = (
    "archive", "config", "grpc", "http", "image", "index", "labels", "manifest", "metrics", "onnx",
    "tensors", "zip",
)  # fmt: skip
"""Names of the targets, which the package `fuzzing` defines."""

MAX_INPUT_BYTES = 1 << 16
_CALL_S = 10
_MEMORY_MIB = 2048
_INSTRUMENTED = ["dcgan", "PIL", "zipfile", "json", "urllib"]


def main() -> None:
    """Fuzzes the targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="+", choices=NAMES, metavar="TARGET", help=str(NAMES))
    parser.add_argument("--seconds", type=int, default=300, help="time for each target")
    parser.add_argument("--artifacts", type=Path, default=Path("build/fuzz"), help="for findings")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        _fuzz_here(options.targets[0], options.seconds, options.artifacts)
        return

    options.artifacts.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in options.targets:
        command = [sys.executable, __file__, name, "--here", "--seconds", str(options.seconds)]
        result = subprocess.run([*command, "--artifacts", options.artifacts], check=False)
        print(f"{name}: {'FOUND SOMETHING' if result.returncode else 'nothing found'}", flush=True)
        failed += [name] if result.returncode else []
    sys.exit(1 if failed else 0)


def _fuzz_here(name: str, seconds: int, artifacts: Path) -> None:
    if find_spec("atheris") is None:
        mutate_for(name, seconds, artifacts)
    else:
        _guide(name, seconds, artifacts)


def mutate_for(name: str, seconds: float, artifacts: Path, seed: int = 0) -> int:
    """Changes bytes of valid inputs at random.

    Args:
        name: of the target.
        seconds: how long.
        artifacts: folder for the input of a finding.
        seed: of the random numbers.

    Returns:
        The number of inputs that were tried.

    Raises:
        Exception: what the target raised.
    """
    from fuzzing import TARGETS  # noqa: PLC0415 - instrumented by `_guide`

    target = TARGETS[name]
    rng = random.Random(seed)
    seeds = target.warm_up()
    signal.signal(signal.SIGALRM, _time_out)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = mutate(rng.choice(seeds), rng)
        count += 1
        signal.alarm(_CALL_S)
        try:
            _run(target, data, name, artifacts)
        finally:
            signal.alarm(0)
    print(f"{name}: {count} inputs")
    return count


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Returns a copy with a few bytes changed, removed, repeated or inserted."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        start = rng.randrange(len(changed) + 1)
        stop = min(len(changed), start + rng.choice((1, 1, 2, 4, 8, 64, 1024)))
        action = rng.randrange(5)
        if action == 0:
            changed[start:stop] = rng.randbytes(stop - start)
        elif action == 1:
            del changed[start:stop]
        elif action == 2:
            changed[start:start] = changed[start:stop] * rng.choice((1, 2, 100))
        elif action == 3:
            value = rng.choice((0, 1, 2**7, 2**8 - 1, 2**15, 2**31, 2**32 - 1, 2**63))
            changed[start : start + 8] = value.to_bytes(8, rng.choice(("little", "big")))
        else:
            changed[start:start] = rng.choice((b'"', b"{", b"[", b"%", b"\xff", b"\0", b"9", b"\n"))
    return bytes(changed[:MAX_INPUT_BYTES])


def _time_out(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"the call took over {_CALL_S} s")


def _guide(name: str, seconds: int, artifacts: Path) -> None:
    """Lets atheris choose the mutations. It ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from fuzzing import TARGETS  # noqa: PLC0415

        target = TARGETS[name]
        seeds = target.warm_up()

    with tempfile.TemporaryDirectory(prefix="dcgan-fuzz-") as corpus:
        for i, data in enumerate(seeds):
            Path(corpus, str(i)).write_bytes(data)
        limits = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}"]
        limits += [f"-timeout={_CALL_S}", f"-rss_limit_mb={_MEMORY_MIB}"]
        atheris.Setup(
            [
                name,
                *limits,
                f"-artifact_prefix={artifacts}/{name}-",
                "-print_final_stats=1",
                corpus,
            ],
            lambda data: _run(target, data, name, artifacts),
        )
        atheris.Fuzz()


def _run(target: Target, data: bytes, name: str, artifacts: Path) -> None:
    """Runs a target, and keeps the input of a finding."""
    try:
        target.run(data)
    except BaseException:
        path = artifacts / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
        path.write_bytes(data)
        print(f"the input is in {path}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
