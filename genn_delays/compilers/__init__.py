"""Compilers: they lower a network to a plan and hand it to a backend."""
