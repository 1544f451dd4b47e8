"""The spiking reduction in voltage cells times Gauss nodes of the pending input (`closure="quadrature"`)."""
