# exit 8
"$HEADRACE" check nowhere.parquet
