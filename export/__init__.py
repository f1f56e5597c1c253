"""Export of a training run to a released model: verified ONNX, TorchScript and safetensors.

The command `dcgan-export`, the files that it writes and the module `dcgan.export.pretrained` are
public; every other name may change in any release (docs/reference/python-api.md).
"""
