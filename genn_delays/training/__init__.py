"""Compilers and the compiled network: training, evaluation, learned state, checkpoints, batch norm folded."""
