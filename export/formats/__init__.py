"""The files of a model: ONNX, TorchScript, exported programs, safetensors; Triton's layout."""
