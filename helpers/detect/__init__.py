"""Boxes: anchors, coder, suppression, training targets, and the authors' detector on EfficientViT."""
