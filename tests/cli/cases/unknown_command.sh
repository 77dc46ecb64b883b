# exit 2
"$HEADRACE" chekc
