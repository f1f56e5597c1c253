"""What the stages share: options, deadlines, and running programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CUDA

ROOT = Path(__file__).resolve().parents[2]
LOG_LINES = 12  # of a failed program, that are kept in the result

Result = dict[str, Any]
"""What a stage found: JSON. Its "summary" is one sentence for the table."""


class StageError(Exception):
    """A stage that failed, with the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """The options of a campaign.

    Attributes:
        out: folder of the results, which must stay small.
        work: folder of run folders and models, which may grow.
        trainings: recipe and images of each training, in order.
        deadline: end of the campaign, or of the stage, by `time.monotonic`.
        dry_run: whether to run small, on the CPU.
    """

    out: Path
    work: Path
    trainings: tuple[tuple[str, str], ...]
    deadline: float
    dry_run: bool

    @property
    def device(self) -> str:
        """The device that stages measure."""
        return "cpu" if self.dry_run else "cuda"

    @property
    def card(self) -> str:
        """What is measured: the GPU, or that it is none."""
        return "the CPU, in a dry run" if self.dry_run else processor_family(CUDA)

    def seconds_left(self) -> float:
        """Returns the time until the deadline."""
        return self.deadline - time.monotonic()

    def until(self, seconds: float) -> Campaign:
        """Returns the same campaign with an earlier deadline, at most so many seconds from now."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def start(self, stage: str, *command: str) -> subprocess.Popen[bytes]:
        """Starts a Python program, whose output goes to the log of a stage."""
        with self.log(stage).open("ab") as file:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def run(self, stage: str, *command: str) -> str:
        """Runs a Python program, and returns what it has printed, which goes to the log, too.

        Raises:
            StageError: if it fails, or does not end before the deadline.
        """
        log = self.log(stage)
        start = log.stat().st_size if log.exists() else 0
        process = self.start(stage, *command)
        try:
            code = process.wait(max(1.0, self.seconds_left()))
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise StageError(f"out of time\n{self.end_of_log(stage)}") from None
        except KeyboardInterrupt:
            kill_group(process)  # Ctrl-C does not reach it: it has a session of its own
            raise
        if code != 0:
            raise StageError(f"exit code {code}\n{self.end_of_log(stage)}")
        return log.read_bytes()[start:].decode("utf-8", "replace")

    def log(self, stage: str) -> Path:
        """Returns the path of the log of a stage."""
        return self.out / f"{stage}.log"

    def end_of_log(self, stage: str) -> str:
        """Returns the last lines of the log of a stage."""
        text = self.log(stage).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])


@dataclass(frozen=True)
class Stage:
    """A stage of the campaign.

    Attributes:
        run: fills a result, as far as it comes; it may raise.
        budget_s: time that it may take.
    """

    run: Callable[[Campaign, Result], None]
    budget_s: float

    @property
    def name(self) -> str:
        """Name of the stage, in options and results."""
        return self.run.__name__.replace("_", "-")


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a program that `Campaign.start` has started, with all its children."""
    os.killpg(process.pid, 9)
    process.wait()


def read_report(path: Path) -> Result:
    """Reads a report that a program has written; empty if there is none."""
    if not path.exists():
        return {}
    report: Result = json.loads(path.read_text(encoding="utf-8"))
    return report
