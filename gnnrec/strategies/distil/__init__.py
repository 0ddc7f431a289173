"""Strategies that hold a new model to the old one."""
