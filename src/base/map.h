// SPDX-License-Identifier: Apache-2.0
// Hash map from bytes to a 64-bit value; keys are copied. Caller-serialised.
#ifndef HR_BASE_MAP_H
#define HR_BASE_MAP_H

#include "base/mem.h"

typedef struct hr_map hr_map;
HR_USE_RESULT hr_status hr__map_open(hr_map **out, hr_error *err);
void hr__map_close(hr_map **map);
HR_USE_RESULT hr_status hr__map_put(hr_map *map, const void *key, size_t key_bytes, uint64_t value,
                                    hr_error *err);
bool hr__map_get(const hr_map *map, const void *key, size_t key_bytes, uint64_t *value_out);
bool hr__map_remove(hr_map *map, const void *key, size_t key_bytes);

#endif
