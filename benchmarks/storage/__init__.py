"""Measures how sets on a web server are fetched to a host."""
