"""Quantization: calibration, the plan of what runs in int8, and the search for it."""
