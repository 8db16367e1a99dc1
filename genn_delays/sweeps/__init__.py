"""Sweeps: many independent runs of a model with other settings, over local processes or a Dask cluster."""
