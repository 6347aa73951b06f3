"""Loops over pixels, compiled by numba or without it. Only this package imports numba, and never for a GPU."""
