"""Reads the sources of prep: archives, folders, listings, and the usual layouts of data sets."""
