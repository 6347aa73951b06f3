"""Measures whole runs, from start to end."""
