"""Statistics of runs: a Dataset of spikes or rates in, numbers with standard errors out. Knows no system."""
