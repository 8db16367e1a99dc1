"""Source text of a plan for every target: templates, and equations printed into them."""
