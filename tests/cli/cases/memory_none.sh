# exit 8
"$HEADRACE" memory --stats-only
