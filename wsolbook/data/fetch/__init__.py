"""Fetching data sets: download, unpack, prepare, verify."""
