"""Runs of the command line: a model file, settings for one run, and the folder with its results."""
