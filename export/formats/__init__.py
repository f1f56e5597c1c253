"""The other formats of a released model: TorchScript, exported programs, safetensors, Triton."""
