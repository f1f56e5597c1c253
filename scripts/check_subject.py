"""Check the subject of a commit message: at most 72 characters, no full stop, then an empty line.

Run by pre-commit with the file of the message.
"""

import sys
from pathlib import Path

MOST = 72


def problem_with(message: str) -> str | None:
    """Returns what is wrong with a commit message, or None."""
    subject, _, body = message.partition("\n")
    if not subject.strip():
        return "the subject is empty"
    if len(subject) > MOST:
        return f"the subject has {len(subject)} characters; at most {MOST}"
    if subject.endswith("."):
        return "the subject ends with a full stop"
    if body.strip() and not body.startswith("\n"):
        return "the line after the subject is not empty"
    return None


if __name__ == "__main__":
    problem = problem_with(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if problem:
        sys.exit(f"commit message: {problem}")
