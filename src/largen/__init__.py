"""largen: limit equations of large neuronal networks, their finite networks, and the distance between the two."""
