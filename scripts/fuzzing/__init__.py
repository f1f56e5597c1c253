"""What `fuzz.py` fuzzes: the parsers of untrusted input, with valid inputs of each."""

from fuzzing import data, requests, runs, zoo

__all__ = ["TARGETS"]

TARGETS = zoo.TARGETS | requests.TARGETS | data.TARGETS | runs.TARGETS
