"""Checks whether `headrace doctor` is right, against runs and on jobs that are slowed down without its knowledge."""
