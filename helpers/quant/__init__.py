"""INT8: tensor statistics, quantisation parameters, the simulation, accuracy."""
