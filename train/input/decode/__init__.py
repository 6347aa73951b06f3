"""Decoding: turns encoded bytes and views into resized uint8 images."""
