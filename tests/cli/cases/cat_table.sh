"$HEADRACE" cat range:100 --rows 3
