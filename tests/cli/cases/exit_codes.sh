"$HEADRACE" help exit-codes | tail -1
