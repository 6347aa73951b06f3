"""Compares Headrace's pixels with torchvision's, operation by operation, and the effect on a checkpoint's accuracy."""
