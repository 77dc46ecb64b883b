// SPDX-License-Identifier: Apache-2.0
// Hashes: XXH3 for keys and checksums of our own, CRC-32 (IEEE) for formats that ask for it.
#ifndef HR_BASE_HASH_H
#define HR_BASE_HASH_H

#include "base/compiler.h"

uint64_t hr__hash64(const void *bytes, size_t count, uint64_t seed); // XXH3 64
uint32_t hr__crc32(uint32_t crc, const void *bytes, size_t count);   // as zlib's crc32

#endif
