"""Augmentation: the random draws for each sample, and the operators that change its image."""
