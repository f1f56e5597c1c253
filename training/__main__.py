"""`python -m dcgan.training` runs `dcgan-train`, which is how torchrun starts it."""

import os
import sys

from dcgan.training.cli import main


def _exit_now(code: int) -> None:
    """Ends a process of a distributed run without Python's shutdown.

    A thread of gloo may still release a tensor then, for which it needs the interpreter, and the
    process would be aborted although its work is done (pytorch/pytorch#190489).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if "RANK" in os.environ and (end.code is None or isinstance(end.code, int)):
            _exit_now(end.code or 0)
        raise
