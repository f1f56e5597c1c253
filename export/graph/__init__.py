"""The network as an ONNX graph: folding, plain and subpixel forms, post-processing."""
