"""Measures a training job part by part, to find where it loses time and which setting would make it faster."""
