"""Loops over pixels, compiled by numba if it is installed.

Only this package imports numba. All these loops run on a CPU.
"""
