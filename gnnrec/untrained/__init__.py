"""Recommenders that need no training: closed forms of what has been absorbed, brought up to date by what is new."""
