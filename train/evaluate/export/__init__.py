"""A trained network in files that others read without Headrace. Neither DALI nor the input is loaded for it."""
