"""Finds where a training job loses time, by measuring the job part by part, and which setting to change."""
