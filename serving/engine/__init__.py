"""Engines: ONNX Runtime sessions on the CPU and on CUDA."""
