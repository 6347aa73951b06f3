"""Loggers by name: what a run measures, for TensorBoard, Weights & Biases and MLflow. Each is a callback."""
