"""Model files that ship with largen."""
