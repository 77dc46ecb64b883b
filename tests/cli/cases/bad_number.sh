# exit 2
"$HEADRACE" check range:10 --batch-rows none
