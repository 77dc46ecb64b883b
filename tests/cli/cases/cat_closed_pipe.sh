"$HEADRACE" cat range:1000000 --rows all --json | head -2
