"""Loops over pixels compiled by numba, which only this room imports; never loaded for a GPU."""
