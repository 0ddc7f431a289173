"""Configuration: composed by Hydra, checked, made into objects."""
