# SPDX-License-Identifier: Apache-2.0
"""python -m headrace.compat SCRIPT.py"""

import sys

from headrace import compat

sys.exit(compat.run(sys.argv[1:]))
