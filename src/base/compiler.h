// SPDX-License-Identifier: Apache-2.0
// The only place for compiler extensions: attributes, alignment, branch hints, assertions.
#ifndef HR_BASE_COMPILER_H
#define HR_BASE_COMPILER_H

#include <assert.h> // for static_assert; assert itself is not used: HR_ASSERT
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HR_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HR_NOINLINE    __attribute__((noinline))
#define HR_COLD        __attribute__((cold, noinline))
#define HR_RESTRICT    __restrict
#define HR_UNUSED      __attribute__((unused))
#define HR_FALLTHROUGH __attribute__((fallthrough))
#define HR_PREFETCH(p) __builtin_prefetch(p)
#define HR_NORETURN    _Noreturn
#if defined(__has_feature)
#define HR_HAS_FEATURE(x) __has_feature(x)
#else
#define HR_HAS_FEATURE(x) 0
#endif
// Whether the thread sanitizer watches this build.
#if defined(__SANITIZE_THREAD__) || HR_HAS_FEATURE(thread_sanitizer)
#define HR_THREAD_SANITIZER true
#else
#define HR_THREAD_SANITIZER false
#endif
// Code that runs where no sanitizer can follow (between clone and exec).
#define HR_UNSANITIZED __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#define HR_INLINE      static inline __attribute__((always_inline))
#define HR_UNALIGNED   __attribute__((aligned(1))) /* in a typedef: a value at any address */

// Before a loop: so many steps at a time. Compilers leave loops of few instructions as they are.
#ifdef __clang__
#define HR_UNROLL_8 _Pragma("clang loop unroll_count(8)")
#else
#define HR_UNROLL_8 _Pragma("GCC unroll 8")
#endif

// Before a loop: its steps do not depend on each other, even where its arrays are the same one.
#if defined(__clang__)
#define HR_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define HR_INDEPENDENT _Pragma("GCC ivdep")
#endif

// Bits of a 64-bit value; the first two are for values that are not zero.
#define HR_CLZ64(x)      __builtin_clzll(x)
#define HR_CTZ64(x)      __builtin_ctzll(x)
#define HR_POPCOUNT64(x) __builtin_popcountll(x)

#define HR_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define HR_MIN(a, b)  ((a) < (b) ? (a) : (b))
#define HR_MAX(a, b)  ((a) > (b) ? (a) : (b))

// Every data buffer starts at a multiple of this and is readable up to the next multiple.
#define HR_ALIGN           64
#define HR_ALIGN_UP(n, to) (((n) + ((to)-1)) / (to) * (to))

// Overflow-checked arithmetic: true when the result does NOT fit.
#define HR_ADD_OVERFLOWS(a, b, out) __builtin_add_overflow(a, b, out)
#define HR_MUL_OVERFLOWS(a, b, out) __builtin_mul_overflow(a, b, out)

HR_NORETURN void hr__assert_failed(const char *file, int line, const char *text);

// States what only a bug of our own can break. Stays on in release: a wrong batch is worse than a crash.
#define HR_ASSERT(x) (HR_LIKELY(x) ? (void)0 : hr__assert_failed(__FILE__, __LINE__, #x))

// For inner loops: gone in release builds.
#ifdef NDEBUG
#define HR_DASSERT(x) ((void)0)
#else
#define HR_DASSERT(x) HR_ASSERT(x)
#endif

#endif
