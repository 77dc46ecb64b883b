"$HEADRACE" version
"$HEADRACE" --version
