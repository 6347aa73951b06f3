"""Defines recipes: the values that decide a run, their bounds, and the recipes that come with Headrace.

No module of this package imports torch.
"""
