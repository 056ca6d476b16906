"""Models leaving Netwright: a PyTorch folder, an ONNX file."""
