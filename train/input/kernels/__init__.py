"""Loops over pixels, compiled by numba if it is installed. Only this package imports numba, and never for a GPU."""
