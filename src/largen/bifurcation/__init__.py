"""The dynamics of a limit: stationary states, cycles, branches, phase portraits, Lyapunov exponents."""
