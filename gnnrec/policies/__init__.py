"""When to update: a policy decides each time an increment has come, the strategy says how."""
