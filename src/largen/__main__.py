"""`python -m largen` is the command `largen`."""

import sys

from largen.cli import main

sys.exit(main())
