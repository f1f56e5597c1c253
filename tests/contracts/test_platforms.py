"""Client and zoo on systems that lack what only Linux has, such as macOS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dcgan.serving.launch import launch_server

pytestmark = pytest.mark.slow

# What Python has on Linux and not on macOS. No Mac is at hand, so it is taken away.
WITHOUT_LINUX = """
import fcntl, os, select, signal, socket, sys
for module, names in {
    os: ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "getrandom",
         "posix_fadvise", "posix_fallocate", "copy_file_range", "splice", "O_TMPFILE", "O_PATH"),
    select: ("epoll",),
    signal: ("sigtimedwait", "SIGPWR", "SIGRTMIN"),
    fcntl: ("F_SETLEASE", "F_GETLEASE", "F_SETPIPE_SZ"),
    socket: ("AF_VSOCK", "SO_INCOMING_CPU"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import urllib.request  # for macOS it would need a module that is only there
sys.platform = "darwin"
real_open = open
def no_proc(path, *args, **kwargs):
    if str(path).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", path)
    return real_open(path, *args, **kwargs)
import builtins, io
builtins.open = io.open = no_proc
"""


def run(cwd: Path, program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", WITHOUT_LINUX + program, *arguments]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(name: str) -> str:
    return f"""
from importlib.metadata import entry_points
(point,) = entry_points(group="console_scripts", name={name!r})
point.load()(sys.argv[1:], prog_name={name!r})
"""


@pytest.mark.parametrize("verb", [("list",), ("verify", "dcgan64-tiny"), ("info", "dcgan64-tiny")])
def test_the_zoo_runs(tmp_path: Path, own_home: Path, verb: tuple[str, ...]):
    assert "dcgan64-tiny" in run(tmp_path, command("dcgan-zoo"), *verb)


def test_a_model_is_packed_and_fetched(tmp_path: Path, own_home: Path):
    zoo = command("dcgan-zoo")
    run(tmp_path, zoo, "pack", "dcgan64-tiny", "--out", "index")
    fetched = run(tmp_path, zoo, "fetch", "index/dcgan64-tiny-1.tar")
    assert Path(fetched.strip(), "manifest.json").is_file()


def test_clients_and_commands_run(tmp_path: Path):
    serve = [str(Path(sys.executable).parent / "dcgan-serve"), "--port", "0", "--metrics-port", "0"]
    with launch_server(serve) as server:
        target = ("--target", server.address)
        run(tmp_path, command("dcgan-generate"), *target, "--seed", "7", "--out", "grid.png")
        load = ("--duration-s", "0.2", "--warmup-s", "0")
        assert "code OK" in run(tmp_path, command("dcgan-bench"), *target, *load)
        both = """
import asyncio
from dcgan.serving.client import AsyncClient, Client
async def draw():
    async with AsyncClient(sys.argv[1]) as client:
        return await client.generate(7, 100)
with Client(f"{sys.argv[1]},localhost:1") as client:
    print((client.generate(7, 100) == asyncio.run(draw())).all())
"""
        assert run(tmp_path, both, server.address) == "True\n"

    assert (tmp_path / "grid.png").is_file()
