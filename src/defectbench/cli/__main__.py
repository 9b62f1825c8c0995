"""``python -m defectbench.cli``."""

import sys

from .main import main

sys.exit(main())
