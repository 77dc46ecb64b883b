# SPDX-License-Identifier: Apache-2.0
"$HEADRACE" check range:1000,blocks=10 --json > out.json
for key in first_batch_s preprocess_s loop_s epoch_s rows batches epochs bytes checksum handed_mib_s touched_mib_s \
    delay_p50_s delay_p95_s delay_max_s peak_rss_bytes arena_peak_bytes spilled_bytes restored_bytes wait; do
    grep -q "\"$key\": " out.json || echo "no $key"
done
grep -q '"checksum": null' out.json && grep -q '"touched_mib_s": null' out.json && echo untouched
rm out.json
