"""Quantization: calibration, and the search for which convolutions run in int8."""
