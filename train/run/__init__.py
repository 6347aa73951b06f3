"""Carries out training, evaluation and prediction, from the user's request to the result."""
