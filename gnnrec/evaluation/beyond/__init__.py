"""Beyond accuracy: what lists are like, whatever of them is relevant."""
