"""Settings shared by all tests."""

import hypothesis
import matplotlib as mpl

mpl.use("Agg")
hypothesis.settings.register_profile("largen", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("largen")
