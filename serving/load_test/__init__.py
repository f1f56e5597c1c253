"""Load tests of a server: `dcgan-bench` and the benchmarks.

A closed loop has a number of callers, each with one request at a time; it finds the highest
throughput. An open loop sends requests at the times of a Poisson process, whether or not the server
keeps up; its latencies count from the time when a request was due, so that a stall is not hidden by
the requests that it held back ("coordinated omission").
"""

from dcgan.serving.load_test.config import LoadTestConfig, LoadTestError
from dcgan.serving.load_test.processes import run_in_processes
from dcgan.serving.load_test.report import LoadTestReport
from dcgan.serving.load_test.runner import run_load_test

__all__ = ["LoadTestConfig", "LoadTestError", "LoadTestReport", "run_in_processes", "run_load_test"]
