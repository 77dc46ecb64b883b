# SPDX-License-Identifier: Apache-2.0
import sys

import headrace
from headrace.preprocessors import StandardScaler

path = sys.argv[1] if len(sys.argv) > 1 else "trips/"
trips = headrace.read_parquet(path, columns=["fare", "distance"])
ready = StandardScaler(["fare", "distance"]).fit_transform(trips)
for batch in ready.iter_batches(batch_size=1024, shuffle="window", seed=7):
    print(len(batch["fare"]), "rows, first", batch["fare"][0])  # arrays in shared memory, not copied
