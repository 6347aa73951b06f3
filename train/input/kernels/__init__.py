"""Loops over pixels compiled by numba, or the same without it; only this room imports numba, and never for a GPU."""
