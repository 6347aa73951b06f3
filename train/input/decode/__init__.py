"""Decoding: turns encoded images into uint8 images, cut to their views (parts of the images) and resized."""
