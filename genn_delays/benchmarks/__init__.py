"""Benchmarks: time of a training step and of inference, memory, scaling, start-up time, and kernels beside the
machine's
limits.

``genn-delays benchmark`` runs them; every measurement is one JSON object with its parameters and its machine.
"""
