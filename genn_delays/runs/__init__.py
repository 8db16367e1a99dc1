"""Runs: a model file, settings for one run, and the folder that keeps what comes of it; under the command line."""
