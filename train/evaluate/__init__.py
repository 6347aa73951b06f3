"""Uses a trained network: for evaluation, prediction and export."""
