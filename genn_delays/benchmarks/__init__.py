"""Benchmarks: how long a training step or an inference takes, what memory holds, how all of it scales, what starting
costs, and how far the kernels are from the machine's limits.

``genn-delays benchmark`` runs them; every measurement is one JSON object that says what it was made of and where.
"""
