"""Turn a checkpoint into one self-describing ONNX file (torch + onnx; run from a checkout, not in the wheel)."""
