"""Export of a training run to a released model: verified ONNX, TorchScript and safetensors."""
