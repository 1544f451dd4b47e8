"""`python -m largen` is the command `largen`."""

import sys

from largen.commands.main import main

sys.exit(main())
