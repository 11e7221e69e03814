"""What the network is: variants, weights, attention, cost."""
