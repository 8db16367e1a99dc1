"""Equations become steps of time, adjoints and transitions at spikes: SymPy in, text for NumPy and for C out."""
