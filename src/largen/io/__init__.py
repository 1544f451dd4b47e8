"""Files in and out: model files, Datasets as netCDF and zarr, spikes for neo, equations as LaTeX."""
