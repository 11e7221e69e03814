"""ONNX: folds, the export through its gates, what a graph costs."""
