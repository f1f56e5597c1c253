"""The configuration of a server from the options of dcgan-serve."""

import os

import pytest

from dcgan.serving.api.call_limits import CallLimits
from dcgan.serving.cli.serve import main
from dcgan.serving.cli.server_config import build_server_config
from dcgan.serving.config import ServerConfig
from dcgan.serving.http.config import HttpConfig


@pytest.fixture(autouse=True)
def without_variables(monkeypatch):
    for name in os.environ:
        if name.startswith("DCGAN_SERVE_"):
            monkeypatch.delenv(name)


def build(*arguments: str) -> ServerConfig:
    return build_server_config(main.make_context("dcgan-serve", list(arguments)).params)


def test_without_options_the_configuration_is_the_default_one_with_http():
    assert build() == ServerConfig(http=HttpConfig())


def test_every_limit_on_calls_has_an_option():
    limits = build(
        *("--max-concurrent-rpcs", "1"),
        *("--max-streams", "2"),
        *("--max-unread-bytes", "3"),
        *("--arrival-timeout-s", "4"),
        *("--read-timeout-s", "5"),
        *("--max-call-s", "6"),
    ).connection.limits
    assert limits == CallLimits(
        max_calls=1,
        max_streams=2,
        max_unread_bytes=3,
        arrival_timeout_s=4.0,
        read_timeout_s=5.0,
        max_call_s=6.0,
    )
