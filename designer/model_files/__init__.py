"""Other programs' model files looked at: ONNX graphs, safetensors, PyTorch weights. Runs no code of theirs."""
