"""Settings shared by all tests."""

import hypothesis
import matplotlib as mpl

from largen.runtime.compilation import keep_compiled_programs

keep_compiled_programs()  # before JAX is imported: the workers of one run, and later runs, share what one compiled
mpl.use("Agg")
hypothesis.settings.register_profile("largen", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("largen")
