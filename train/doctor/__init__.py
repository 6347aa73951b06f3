"""Measures a training job part by part, to find where the job loses time and which setting would speed it up."""
