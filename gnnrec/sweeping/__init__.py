"""Hyper-parameters searched on increments 1 and 2: what is searched, points as jobs, the study, what came of it."""
