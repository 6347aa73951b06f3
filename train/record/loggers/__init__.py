"""Sends the figures of a run to TensorBoard, Weights & Biases or MLflow; each logger is a callback."""
