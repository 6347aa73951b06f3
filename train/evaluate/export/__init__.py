"""Exports a trained network to files that other programs read without Headrace; an export does not load DALI."""
