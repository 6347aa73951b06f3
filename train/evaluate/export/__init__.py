"""Exports a trained network to files that other programs read without Headrace; needs neither DALI nor the input."""
