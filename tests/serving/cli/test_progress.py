"""Progress of dcgan-generate on a terminal and in a log."""

import io
import re
import time

import numpy as np

from dcgan.serving.cli.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_shows_how_many_have_come_and_how_fast(client):
    out = Terminal()
    images = np.concatenate(list(show_progress(client.stream(7, 300), 300, out)))
    np.testing.assert_array_equal(images, client.generate(7, 300))
    assert "300/300" in out.getvalue()
    assert "images/s" in out.getvalue()


def test_in_a_log_there_is_a_line_now_and_then(monkeypatch):
    out, now = io.StringIO(), iter(range(0, 1000, 4))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    chunks = iter([np.zeros((50, 2, 2, 3), np.uint8)] * 6)
    assert sum(map(len, show_progress(chunks, 300, out))) == 300
    lines = out.getvalue().splitlines()
    assert 0 < len(lines) < 6
    assert all(
        re.fullmatch(r"\d+ of 300 images, [\d,]+ images/s, [\d,]+ s left", line) for line in lines
    )
