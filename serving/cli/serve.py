"""`dcgan-serve`: the server's options."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Command, UserError
from dcgan.core.parameter_types import FILE
from dcgan.serving.cli.server_options import (
    engine_options,
    grpc_options,
    lifetime_options,
    limit_options,
    model_options,
    port_options,
)
from dcgan.serving.running_calls import exit_process, running_calls

if TYPE_CHECKING:
    from dcgan.serving.config import ServerConfig
    from dcgan.serving.observability.log import LogConfig
    from dcgan.serving.ready_file import ReadyReport


class ServeCommand(Command):
    """A command that also ends if a graph or a device hangs in native code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command and ends the process."""
        before = running_calls()
        try:
            return super().main(*args, **kwargs)
        except SystemExit as ended:
            if running_calls() - before:
                exit_process(ended.code)
            raise


@click.command("dcgan-serve", cls=ServeCommand, context_settings=CONTEXT_SETTINGS)
@model_options
@port_options
@engine_options
@limit_options
@grpc_options
@lifetime_options
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Format of the log on standard error.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="Least severe level that is logged.",
)
@click.option(
    "--ready-file",
    type=FILE,
    help="Write this JSON file once ready to serve; removed at the start and at a clean exit.",
)
@click.option("--open", "opens_page", is_flag=True, help="Open the page in the default browser.")
@click.option("--dry-run", is_flag=True, help="Print the configuration and stop.")
def main(
    *,
    workers: int,
    log_format: str,
    log_level: str,
    ready_file: Path | None,
    opens_page: bool,
    dry_run: bool,
    **options: Any,  # noqa: ANN401 - click's values
) -> None:
    """Serves images over gRPC and HTTP until SIGTERM or Ctrl-C."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are one sentence of ours
    from dcgan.serving.shutdown import exit_on_sigterm

    # Without a handler, a container that is stopped while it starts would ignore the signal,
    # because it is process 1.
    with exit_on_sigterm():
        from dcgan.serving.cli.server_config import build_server_config
        from dcgan.serving.observability.log import LogConfig, configure_logging

        config = build_server_config(options)
        if opens_page and config.http is None:
            raise UserError("--open shows the web page, which needs HTTP; leave --no-http out")
        if dry_run:
            click.echo(json.dumps({"workers": workers, **asdict(config)}, indent=2, default=str))
            return

        log = LogConfig(log_format, log_level)
        configure_logging(log)
        _run(config, workers, log, ready_file, opens_page=opens_page)


def _run(
    config: ServerConfig,
    workers: int,
    log: LogConfig,
    ready_file: Path | None,
    *,
    opens_page: bool,
) -> None:
    """Serves, with a ready file as long as it does."""
    from dcgan.serving.grpc_release import check_grpc_release

    check_grpc_release()
    from dcgan.core import event_loop
    from dcgan.serving.cli.browser import open_page
    from dcgan.serving.ready_file import remove_ready_file, write_ready_file
    from dcgan.serving.server import run_until_signal
    from dcgan.serving.workers import supervise

    if ready_file is not None:
        remove_ready_file(ready_file)  # left by a server that was killed

    def announce(report: ReadyReport) -> None:
        _print_ready_line(report, log.format)
        if ready_file is not None:
            write_ready_file(ready_file, report)
        if opens_page and report.http_address is not None:
            open_page(report.http_address)

    try:
        if workers == 1:
            serving = run_until_signal(config, lambda server: announce(server.report()))
        else:
            serving = supervise(config, workers, log, announce)
        event_loop.run(serving, config.event_loop)
    finally:
        if ready_file is not None:
            remove_ready_file(ready_file, os.getpid())


def _print_ready_line(report: ReadyReport, log_format: str) -> None:
    """Prints where the server listens; a full disk behind standard output does not stop it."""
    from dcgan.serving.observability.log import format_json

    line = f"dcgan-serve {report.describe()}"
    if log_format == "json":
        line = format_json("info", __name__, report.describe(), report=asdict(report))
    try:
        click.echo(line)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "the ready line cannot be written to standard output: %s", error.strerror
        )
        # Python would fail to write it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
