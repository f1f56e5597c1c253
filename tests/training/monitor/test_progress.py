"""Progress in a log."""

import io
import re

import pytest

from dcgan.training.monitor.progress import Progress, format_duration, memory_gib


def test_the_memory_is_that_of_the_device_that_computes():
    assert memory_gib("cpu") > 0.05  # that of a GPU would be 0 here, where nothing lies on one


def test_progress_in_a_log_is_plain_lines():
    out = io.StringIO()
    progress = Progress(3, out=out)
    for step in range(1, 4):
        progress.show(step, step * 8, {"loss_D": 0.5})
    progress.close()
    assert "step 3/3" in out.getvalue()
    assert "images/s" in out.getvalue()
    assert "loss_D 0.500" in out.getvalue()
    assert re.search(r" memory [0-9.]+ GiB left 0 s", out.getvalue())
    assert "\r" not in out.getvalue()


def test_the_rate_is_counted_anew_after_a_rewind():
    out = io.StringIO()
    progress = Progress(1000, first_step=900, out=out)
    for step in (901, 902, 11, 12, 1000):
        progress.show(step, step * 8, {})
    (line,) = out.getvalue().splitlines()
    assert float(re.search(r"([\d,.-]+) images/s", line)[1].replace(",", "")) > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (61_452, "17 h 4 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 12, "12 d 0 h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds, text):
    assert format_duration(seconds) == text
