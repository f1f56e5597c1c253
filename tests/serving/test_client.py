"""The Python client and dcgan-generate: what they give, and what they say when it does not work."""

import io
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from click.testing import CliRunner

from dcgan.core.errors import DcganError
from dcgan.core.images import decode_png, tile
from dcgan.serving.cli import generate
from dcgan.serving.client.client import (
    BusyError,
    Client,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)
from dcgan.serving.client.progress import watched


@pytest.fixture
def ask(server):
    """dcgan-generate against the server: gives its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(generate, ["--target", server.target, *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening, so that nobody else takes it
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_every_error_is_a_client_error_that_command_lines_show():
    for kind in (BusyError, DeadlineError, FaultError, RefusedError, UnreachableError):
        assert issubclass(kind, ClientError)
        assert issubclass(kind, DcganError)


def test_a_server_that_is_not_there_is_said_with_the_cure(nobody):
    with (
        Client(nobody) as client,
        pytest.raises(UnreachableError, match=f"{nobody}; start one with dcgan-serve"),
    ):
        client.generate(7)


def test_the_time_a_call_may_take_is_limited(server):
    with Client(server.target, timeout_s=0.5) as client, pytest.raises(DeadlineError):
        list(client.stream(7, 2**32 - 1, model="slow"))


def test_a_refusal_carries_the_code_and_the_reason(client):
    with pytest.raises(RefusedError, match="label must be unset") as caught:
        client.generate(7, label=1)
    assert (caught.value.code.name, caught.value.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    with pytest.raises(RefusedError, match="there is no model 'nobody'"):
        client.generate(7, model="nobody")


@pytest.mark.parametrize(
    "arguments",
    [{"seed": -1}, {"seed": 2**64}, {"seed": 1, "n": -1}, {"seed": "one"}, {"seed": 1, "n": "3"}],
)
def test_what_does_not_fit_its_field_is_refused_before_it_is_sent(client, arguments):
    with pytest.raises(RefusedError):
        client.generate(**arguments)


def test_no_images_are_refused(client):
    with pytest.raises(RefusedError, match="n must be"):
        client.generate(7, 0)


def test_a_grid_an_array_and_a_folder_hold_the_same_images(ask, client, tmp_path):
    wanted = client.generate(7, 10, offset=5)
    for name in ("grid.png", "images.npy", "folder"):
        code, output = ask(
            "--seed", "7", "-n", "10", "--offset", "5", "--out", str(tmp_path / name)
        )
        assert (code, output) == (0, f"wrote images 5 to 14 of seed 7 to {tmp_path / name}\n")
    np.testing.assert_array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(wanted))
    np.testing.assert_array_equal(np.load(tmp_path / "images.npy"), wanted)
    pictures = sorted((tmp_path / "folder").iterdir())
    assert [picture.name for picture in pictures] == [f"{i:06d}.png" for i in range(5, 15)]
    np.testing.assert_array_equal(
        [decode_png(picture.read_bytes()) for picture in pictures], wanted
    )
    assert {path.name for path in tmp_path.iterdir()} == {"grid.png", "images.npy", "folder"}


def test_options_reach_the_server(ask, client, tmp_path):
    out = tmp_path / "images"
    options = [
        "--model",
        "classy",
        "--model-version",
        "2",
        "--label",
        "1",
        "--truncation",
        "0.5",
        "--format",
        "npy",
    ]
    assert ask("--seed", "3", "-n", "4", "--out", str(out), *options)[0] == 0
    np.testing.assert_array_equal(
        np.load(out), client.generate(3, 4, model="classy", label=1, truncation=0.5)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "nobody"), "there is no model 'nobody'"),
        (("--label", "1"), "label must be unset"),
        (("--seed", "-1"), "--seed"),
        (("-n", "0"), "-n"),
    ],
)
def test_a_refusal_is_one_sentence_and_nothing_is_written(ask, tmp_path, options, said):
    out = tmp_path / "grid.png"
    code, output = ask("--seed", "7", "--out", str(out), *options)
    assert code == 2
    assert said in output
    assert list(tmp_path.iterdir()) == []


def test_without_a_server_it_says_what_to_do(nobody, tmp_path):
    result = CliRunner().invoke(
        generate, ["--seed", "7", "--out", str(tmp_path / "a.png"), "--target", nobody]
    )
    assert result.exit_code == 2
    assert result.output == (
        f"Error: no server answers at {nobody}; start one with dcgan-serve, or name the right target\n"
    )


def test_a_folder_with_something_in_it_is_left_alone(ask, tmp_path):
    (tmp_path / "mine").write_text("precious")
    code, output = ask("--seed", "7", "--out", str(tmp_path))
    assert (code, "is no empty folder" in output) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["pics.jpg", "pics.WEBP"])
def test_a_picture_of_another_format_is_refused_and_is_no_folder(ask, tmp_path, name):
    code, output = ask("--seed", "7", "--out", str(tmp_path / name))
    assert (code, "the one format for pictures is .png" in output) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert ask("--seed", "7", "--out", str(tmp_path / name), "--format", "folder")[0] == 0


def test_a_place_that_cannot_be_written_is_said(ask, tmp_path):
    (tmp_path / "file").write_text("")
    code, output = ask("--seed", "7", "--out", str(tmp_path / "file" / "grid.png"))
    assert (code, "cannot write" in output) == (2, True)


def test_several_servers_take_turns(pair, read_metrics):
    with Client(f"{pair[0].target},{pair[1].target}") as client:
        while not all(made(read_metrics, server) for server in pair):
            client.generate(1)


def test_a_server_that_is_killed_costs_no_errors_and_no_bytes(pair, expected):
    ask_both_while(pair, expected, pair[1].process.kill)


def test_a_server_that_is_told_to_stop_costs_no_errors_and_no_bytes(pair, expected):
    ask_both_while(pair, expected, pair[1].process.terminate)
    assert pair[1].process.wait(timeout=30) == 0


def test_a_stream_that_breaks_goes_on_at_the_other_server(pair, expected):
    with Client(f"{pair[0].target},{pair[1].target}") as client:
        streams = [client.stream(7, 5000) for _ in range(2)]  # one at each server
        heads = [next(stream) for stream in streams]
        pair[1].process.kill()
        for head, stream in zip(heads, streams, strict=True):
            np.testing.assert_array_equal(
                np.concatenate([head, *stream]), expected("tiny", 7, range(5000))
            )


def test_more_images_than_there_is_memory_for_are_refused(ask, tmp_path):
    code, output = ask(
        "--seed",
        "7",
        "-n",
        "4294967295",
        "--out",
        str(tmp_path / "all.npy"),
        "--timeout-s",
        "86400",
    )
    assert (code, output.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_said(ask, tmp_path):
    code, output = ask("--seed", "7", "--out", str(tmp_path / ("x" * 300)))
    assert (code, "cannot write" in output) == (2, True)


def test_a_timeout_of_nothing_is_no_time(server):
    with Client(server.target) as client, pytest.raises(DeadlineError):
        client.generate(7, timeout_s=0)


def test_a_timeout_of_ages_is_taken(server):
    with Client(server.target, timeout_s=1e30) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_a_proxy_does_not_lead_to_this_machine(server, monkeypatch, nobody):
    monkeypatch.setenv("http_proxy", f"http://{nobody}")
    with Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    "target", ["", "127.0.0.1:1,nowhere.invalid:2", "127.0.0.1:1,127.0.0.1", "a:b,c:d"]
)
def test_one_of_several_addresses_that_is_none_is_named(target):
    with pytest.raises(UnreachableError, match="is no address"):
        Client(target)


@pytest.fixture
def pair(start_server, only):
    """Two servers, of which the second may be brought to its end."""
    with start_server(only("tiny")) as first, ExitStack() as stack:
        second = stack.enter_context(start_server(only("tiny")))
        yield first, second
        if second.process.poll() not in (None, 0):
            with pytest.raises(AssertionError):  # it did not end as it should, for it was killed
                stack.close()


def ask_both_while(pair, expected, something_happens) -> None:
    """Asks for many single images at both servers; each must come and be right."""
    wanted = expected("tiny", 7, range(300))
    with Client(f"{pair[0].target},{pair[1].target}") as client, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(client.generate, 7, offset=i) for i in range(300)]
        answers[50].result()
        something_happens()
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result()[0], wanted[i])


def made(read_metrics, server) -> float:
    return sum(
        value
        for name, value in read_metrics(server).items()
        if name.startswith("dcgan_images_total")
    )


def test_many_images_are_shown_as_they_come(ask, client, tmp_path):
    code, output = ask("--seed", "7", "-n", "300", "--out", str(tmp_path / "many.npy"))
    assert (code, output) == (
        0,
        f"wrote images 0 to 299 of seed 7 to {tmp_path / 'many.npy'}\n",
    )  # no terminal, no bar
    np.testing.assert_array_equal(np.load(tmp_path / "many.npy"), client.generate(7, 300))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_shows_how_many_have_come_and_how_fast(client):
    out = Terminal()
    images = np.concatenate(list(watched(client.stream(7, 300), 300, out)))
    np.testing.assert_array_equal(images, client.generate(7, 300))
    assert "300/300" in out.getvalue()
    assert "images/s" in out.getvalue()


def test_in_a_log_there_is_a_line_now_and_then(monkeypatch):
    out, now = io.StringIO(), iter(range(0, 1000, 4))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    chunks = iter([np.zeros((50, 2, 2, 3), np.uint8)] * 6)
    assert sum(map(len, watched(chunks, 300, out))) == 300
    lines = out.getvalue().splitlines()
    assert 0 < len(lines) < 6
    assert all(
        re.fullmatch(r"\d+ of 300 images, [\d,]+ images/s, [\d,]+ s left", line) for line in lines
    )


def test_a_client_that_was_closed_says_so(server):
    client = Client(server.target, hedge_after_s=1)
    stream = client.stream(7, 2**32 - 1, timeout_s=1e6)
    next(stream)
    client.close()
    asks = (
        lambda: next(
            chunk for chunk in stream if not len(chunk)
        ),  # of what has come before, all may be read
        lambda: client.generate(7),
        lambda: client.generate(7, 100),
        lambda: client.interpolate(1, 2, 3),
        client.models,
        client.model,
    )
    for each in asks:
        with pytest.raises(UnreachableError, match="was closed; make another"):
            each()


@pytest.mark.parametrize("seconds", [-1, float("nan"), -float("inf")])
def test_a_second_request_after_no_time_at_all_is_refused(server, seconds):
    with pytest.raises(RefusedError, match="hedge_after_s must be 0 or more"):
        Client(server.target, hedge_after_s=seconds)


def test_a_second_request_after_ages_is_taken(server):
    with Client(server.target, hedge_after_s=float("inf")) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_who_waits_when_a_client_is_closed_is_told_so(server):
    client = Client(server.target)
    stream = client.stream(7, 10**6, timeout_s=1e6, model="slow")
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, stream)
        client.close()
        with pytest.raises(UnreachableError, match="was closed; make another"):
            waiting.result()
