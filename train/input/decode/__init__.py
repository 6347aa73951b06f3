"""Encoded bytes and views in, resized uint8 images out."""
