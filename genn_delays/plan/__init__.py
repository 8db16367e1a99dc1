"""A network lowered to a plan, and what runs a plan: states, the protocol of backends, memory, checks of numbers."""
