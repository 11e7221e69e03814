"""ONNX: folds, the export through its gates, what a graph costs."""

OPSETS = range(11, 19)  # AX650 starts at 11 (Pulsar2 docs, op_support_list_ax650); above 18 nothing was tried
OPSET = 13  # builds are known at 11, 13, 17 and 18; from 13 on Softmax works along any axis
