"""INT8: tensor statistics, quantisation parameters, the simulation, accuracy."""


class NoRule(ValueError):
    """A graph has an operator of which nobody has told how it rounds."""
