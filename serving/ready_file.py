"""The file of `dcgan-serve --ready-file`: JSON with the server's addresses and models."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dcgan.core.atomic import write_file
from dcgan.core.errors import DcganError
from dcgan.core.schema import dump_json, parse_json


class ReadyFileError(DcganError):
    """A ready file that cannot be written."""


@dataclass(frozen=True, kw_only=True)
class ReadyModel:
    """A model that a ready server has.

    Attributes:
        name: name of the model.
        version: version of the model.
        digest: SHA-256 of the file that runs, in hexadecimal.
        default: whether requests that name no model get this one.
        precision: precision of the file that runs: fp32, fp16 or int8.
        provider: execution provider of ONNX Runtime, e.g. "CPUExecutionProvider".
        agreement: result of the comparison with the golden images: "exact" or "close".
    """

    name: str
    version: int
    digest: str
    default: bool
    precision: str | None = None
    provider: str
    agreement: str


@dataclass(frozen=True, kw_only=True)
class ReadyReport:
    """A server that is ready.

    Attributes:
        address: of the gRPC port, as `host:port`.
        http_address: of the HTTP port, as `host:port`; None if there is none.
        pid: process id; with several workers, that of their parent, which takes the signals.
        workers: number of processes that serve.
        metrics_addresses: `host:port` of the metrics page of each worker.
        models: the models that it serves, the default first.
    """

    address: str
    http_address: str | None = None
    pid: int
    workers: int = 1
    metrics_addresses: tuple[str, ...] = ()
    models: tuple[ReadyModel, ...] = ()

    def describe(self) -> str:
        """Returns the line that `dcgan-serve` prints once it is ready."""
        metrics = ",".join(f"http://{address}/metrics" for address in self.metrics_addresses)
        serving = "serving" if self.workers == 1 else f"{self.workers} workers serving"
        addresses = f"{self.address} (gRPC)"
        page = ""
        if self.http_address is not None:
            addresses += f" and http://{self.http_address}/v1/models (HTTP)"
            page = f"; page at http://{self.http_address}/"
        models = "; ".join(_describe_models(self.models))
        return f"ready at {addresses}, {serving} {models}{page}; metrics at {metrics}"


def write_ready_file(path: Path, report: ReadyReport) -> None:
    """Writes a ready file atomically: a reader sees a whole document or none.

    Raises:
        ReadyFileError: if it cannot be written.
    """
    try:
        write_file(path, dump_json(report).encode())
    except OSError as error:
        raise ReadyFileError(
            f"cannot write {str(path)!r:.100}: {error.strerror}; name another --ready-file"
        ) from None


def read_ready_file(path: Path) -> ReadyReport | None:
    """Reads a ready file.

    Returns:
        The report, or None if there is no such file.

    Raises:
        DcganError: if the file is not a ready file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return parse_json(ReadyReport, text, str(path))


def remove_ready_file(path: Path, pid: int | None = None) -> None:
    """Removes a ready file. A FIFO or a device is left alone.

    Args:
        path: the file.
        pid: process id that the file must name, so that the file of another process is kept; None
            to remove any.
    """
    with suppress(OSError, ValueError):
        if not stat.S_ISREG(path.stat().st_mode):
            return
        if pid is None or json.loads(path.read_bytes()).get("pid") == pid:
            path.unlink()


def _describe_models(models: Sequence[ReadyModel]) -> Iterator[str]:
    """Yields a phrase for all models with the same provider and agreement."""
    phrases: dict[tuple[str, str], list[str]] = {}
    for model in models:
        phrase = f"{model.name} version {model.version}"
        if model.default and len(models) > 1:
            phrase += " (the default)"
        phrases.setdefault((model.provider, model.agreement), []).append(phrase)

    for (provider, agreement), named in phrases.items():
        yield f"{', '.join(named)} on {provider}, golden images {agreement}"
