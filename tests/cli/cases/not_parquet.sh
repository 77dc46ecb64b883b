# SPDX-License-Identifier: Apache-2.0
# leaves files
# exit 6
printf 'PAR1 this is no parquet file PAR1' > bad.parquet
"$HEADRACE" inspect bad.parquet
