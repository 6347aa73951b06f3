"""Defines recipes: the values that decide a run, their bounds, and the recipes that come with Headrace.

Nothing here imports torch.
"""
