"""A server in this process, for notebooks and programs that need no port of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcgan.serving.client import Client
    from dcgan.serving.config import ServerConfig
    from dcgan.serving.models.releases import PinnedRelease
    from dcgan.serving.shutdown import ShutdownRequest


@contextmanager
def local(
    model: str | os.PathLike[str] | None = None, *, device: str = "auto", precision: str = "fp32"
) -> Iterator[Client]:
    """Serves models in this process as long as the block runs, and gives a client of that server.

    The server has an event loop in a thread of its own, so that this also works where a loop is
    running already, as in Jupyter. It listens on free ports of this machine only.

    Args:
        model: folder of a released model, as dcgan-export publishes it; or the name of a model of
            the package or the cache; None for the models of the package.
        device: "auto", "cpu" or "cuda".
        precision: which file of each model runs.

    Yields:
        The client; it is closed at the end of the block.

    Raises:
        DcganError: if there is no such model, or it cannot be served; at the end of the block, if
            the server had to stop, e.g. because an engine is stuck.
    """
    from dcgan.serving.client import Client  # noqa: PLC0415 - the client needs no server

    config, releases = _configure(model, device=device, precision=precision)
    server = _ServerThread(config, releases)
    server.start()
    try:
        with Client(server.address()) as client:
            yield client
    finally:
        server.stop()


def _configure(
    model: str | os.PathLike[str] | None, *, device: str, precision: str
) -> tuple[ServerConfig, Sequence[PinnedRelease] | None]:
    """Returns what to serve: the releases alone, or what the configuration finds."""
    from dcgan.serving.config import ServerConfig  # noqa: PLC0415 - the server is loaded on use
    from dcgan.serving.engine.config import EngineConfig  # noqa: PLC0415
    from dcgan.serving.models.config import ModelConfig  # noqa: PLC0415
    from dcgan.serving.models.releases import pin_release  # noqa: PLC0415
    from dcgan.zoo.release import read_release  # noqa: PLC0415

    releases = None
    if model is not None and (isinstance(model, os.PathLike) or Path(model).is_dir()):
        releases = [pin_release(read_release(Path(model)), precision)]

    config = ServerConfig(
        model=None if model is None or releases is not None else str(model),
        port=0,
        metrics_port=0,
        engine=EngineConfig(device=device),
        models=ModelConfig(precision=precision),
    )
    return config, releases


class _ServerThread(threading.Thread):
    """Runs a server in a thread with an event loop.

    Args:
        config: what to serve.
        releases: exactly what to serve; None to find it by the configuration.
    """

    def __init__(self, config: ServerConfig, releases: Sequence[PinnedRelease] | None) -> None:
        super().__init__(name="dcgan-local-server", daemon=True)
        self._config = config
        self._releases = releases
        self._shutdown: Future[tuple[asyncio.AbstractEventLoop, ShutdownRequest]] = Future()
        self._address: Future[str] = Future()
        self._error: BaseException | None = None

    def address(self) -> str:
        """Waits until the server is ready, and returns its address.

        Raises:
            DcganError: if it cannot serve.
        """
        return self._address.result()

    def stop(self) -> None:
        """Finishes the requests that were admitted, and ends the thread.

        Raises:
            DcganError: why the server has ended by itself, if it has after it was ready.
        """
        if self._shutdown.exception() is None:
            loop, shutdown = self._shutdown.result()
            with suppress(RuntimeError):  # the server has ended already, and its loop is closed
                loop.call_soon_threadsafe(shutdown.drain.set)
        self.join()
        if self._error is not None and self._address.exception() is None:
            raise self._error

    def run(self) -> None:
        """Serves until `stop` is called."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
            for future in (self._shutdown, self._address):
                if not future.done():
                    future.set_exception(error)

    async def _serve(self) -> None:
        from dcgan.serving.grpc_release import check_grpc_release  # noqa: PLC0415

        check_grpc_release()
        from dcgan.serving.server import run  # noqa: PLC0415
        from dcgan.serving.shutdown import ShutdownRequest  # noqa: PLC0415

        shutdown = ShutdownRequest()
        self._shutdown.set_result((asyncio.get_running_loop(), shutdown))
        await run(
            self._config,
            lambda server: self._address.set_result(server.address),
            shutdown,
            self._releases,
        )
