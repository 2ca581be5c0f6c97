"""`python -m dreamlift` is `dreamlift`."""

import sys

from dreamlift.cli import main

sys.exit(main())
