"""The finite balanced network: exact by thinning, or in steps by tau-leaping."""
