"""The distance between a network and its limit, with an error bar."""
