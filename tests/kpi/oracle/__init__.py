"""A second way of counting: plain Python over the raw facts, nothing of the product's own."""
