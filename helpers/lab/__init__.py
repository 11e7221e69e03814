"""Reproducing it: the environment, the notebook runner, evidence that a notebook leaves behind."""
