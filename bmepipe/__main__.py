"""``python -m bmepipe`` is ``bmepipe``."""

import sys

from bmepipe.cli import main

sys.exit(main())
