// SPDX-License-Identifier: Apache-2.0
/*
 * The kernels: pure loops over pointers and counts, in one table of function pointers grouped by family.
 *
 * Each family has a readable C reference (`x.c`) and, where one wins, a version for an instruction set
 * (`x_avx2.c`). hr__kernels() fills the table once under hr__cpu_features(); callers never test CPU flags.
 * All versions give the same bits for the same input: checksums and batches do not depend on the machine.
 *
 * Rules for every function, unless its comment says otherwise:
 *  - `count`, `rows` and `entries` count values; `width` and `*_bytes` are bytes; `*_offset` of a bitmap is
 *    in bits. A count of 0 is fine, and then pointers are not read.
 *  - Bitmaps are LSB first, as in Arrow. Bits of an output outside its range keep their value. An optional
 *    validity (`valid`, with `valid_offset`) may be NULL: every row is valid.
 *  - Nothing is read past the stated input nor written past the stated output: no padding is assumed.
 *  - `void *` and `uint8_t *` may point anywhere (decoders point into pages, slices into the middle of
 *    buffers). Typed pointers are aligned as their type.
 *  - Outputs do not overlap inputs, except where "in place" is said: then out may EQUAL that input.
 *  - Integers wrap. Floats are IEEE, never contracted, never reassociated except where said.
 *  - Byte masks hold 0 or 1, one byte a value. We compare into bytes and not into bits because a byte
 *    mask needs no packing across lanes, has no offsets, and combines at 32 values an instruction;
 *    bits.from_bytes makes the bitmap once, at the end.
 *
 * Threads: pure functions. The table is immutable once returned.
 */
#ifndef HR_KERNEL_KERNEL_H
#define HR_KERNEL_KERNEL_H

#include "base/compiler.h"

/** The types kernels compute on. The first HR_NUM_ARITH_COUNT have arithmetic; the others can be cast. */
typedef enum hr_num {
    HR_NUM_I8,
    HR_NUM_I16,
    HR_NUM_I32,
    HR_NUM_I64,
    HR_NUM_U8,
    HR_NUM_U16,
    HR_NUM_U32,
    HR_NUM_U64,
    HR_NUM_F32,
    HR_NUM_F64,
    HR_NUM_F16,
    HR_NUM_BF16,
    HR_NUM_BOOL, // a byte, 0 or 1; any other byte reads as 1
    HR_NUM_COUNT,
    HR_NUM_ARITH_COUNT = HR_NUM_F64 + 1,
    HR_NUM_INT_COUNT = HR_NUM_U64 + 1
} hr_num;

/** Bytes of one value of a type. */
static inline size_t hr__num_bytes(hr_num type)
{
    static const uint8_t bytes[HR_NUM_COUNT] = {1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 2, 2, 1};
    return bytes[type];
}

/** Which operands of a binary kernel are vectors; the other points at one value. */
typedef enum hr_shape { HR_SHAPE_VV, HR_SHAPE_VS, HR_SHAPE_SV, HR_SHAPE_COUNT } hr_shape;

typedef enum hr_arith {
    HR_ARITH_ADD,
    HR_ARITH_SUB,
    HR_ARITH_MUL,
    HR_ARITH_MIN, // floats: NaN if either is NaN, as numpy.minimum
    HR_ARITH_MAX,
    HR_ARITH_DIV, // floats only: IEEE true division
    HR_ARITH_POW, // floats only: libm
    HR_ARITH_COUNT
} hr_arith;

/** Division as Python does it: the quotient is floored, the remainder has the divisor's sign. */
typedef enum hr_divide { HR_DIVIDE_FLOOR, HR_DIVIDE_MOD, HR_DIVIDE_COUNT } hr_divide;

typedef enum hr_unary {
    HR_UNARY_NEG,  // wraps, for unsigned types too
    HR_UNARY_ABS,  // the least integer stays itself
    HR_UNARY_SIGN, // -1, 0, 1; NaN stays, a float zero keeps its sign
    // Floats only, from here on; NULL for integers. Accuracy is libm's, at most 1 ulp.
    HR_UNARY_SQRT,
    HR_UNARY_EXP,
    HR_UNARY_EXPM1,
    HR_UNARY_LOG,
    HR_UNARY_LOG1P,
    HR_UNARY_LOG2,
    HR_UNARY_LOG10,
    HR_UNARY_SIN,
    HR_UNARY_COS,
    HR_UNARY_TANH,
    HR_UNARY_FLOOR,
    HR_UNARY_CEIL,
    HR_UNARY_ROUND, // half to even, as numpy and Python
    HR_UNARY_TRUNC,
    HR_UNARY_COUNT
} hr_unary;

/** IEEE: with a NaN every comparison is false, save NE, which is true. */
typedef enum hr_compare {
    HR_COMPARE_EQ,
    HR_COMPARE_NE,
    HR_COMPARE_LT,
    HR_COMPARE_LE,
    HR_COMPARE_GT,
    HR_COMPARE_GE,
    HR_COMPARE_COUNT
} hr_compare;

typedef enum hr_classify {
    HR_CLASSIFY_NAN,
    HR_CLASSIFY_FINITE,
    HR_CLASSIFY_INF,
    HR_CLASSIFY_COUNT
} hr_classify;

typedef enum hr_logic {
    HR_LOGIC_AND,
    HR_LOGIC_OR,
    HR_LOGIC_XOR,
    HR_LOGIC_ANDNOT, // a and not b
    HR_LOGIC_COUNT
} hr_logic;

/** Count, mean and sum of squared differences from the mean. All zero is the empty set. */
typedef struct hr_moments {
    uint64_t count;
    double mean, m2;
    double mean_low; // what the mean has below its last place; carried so that merges stay accurate
} hr_moments;

/** An unevaluated sum high + low, |low| <= ulp(high)/2 unless not finite. All zero is the empty sum. */
typedef struct hr_sum {
    double high, low;
} hr_sum;

/** A row of one of several tables. */
typedef struct hr_table_row {
    uint32_t base, row;
} hr_table_row;

/** One column of a matrix to be laid row-major. */
typedef struct hr_interleave_column {
    const void *values; // [rows]
    hr_num type;
    const uint8_t *valid; // may be NULL
    size_t valid_offset;
    double fill; // written where not valid; rounded to the matrix's type
} hr_interleave_column;

/** out[i] = (type)in[i]. In place where both types have the same width. */
typedef void hr_cast_fn(void *out, const void *in, size_t count);
/** In place with a vector operand. A scalar operand points at one value. */
typedef void hr_binary_fn(void *out, const void *a, const void *b, size_t count);
/** Returns how many divisors are an integer zero; their result is 0 and, if `zeros` is not NULL, their 
 * byte in zeros[count] is 1 (all others are written 0). Floats divide by zero as numpy does and return 0. */
typedef size_t hr_divide_fn(void *out, const void *a, const void *b, size_t count, uint8_t *zeros);
typedef void hr_unary_fn(void *out, const void *in, size_t count); // in place
typedef void hr_compare_fn(uint8_t *mask_out, const void *a, const void *b, size_t count);
typedef void hr_mask_fn(uint8_t *mask_out, const void *in, size_t count);
typedef void hr_logic_fn(uint8_t *out, const uint8_t *a, const uint8_t *b,
                         size_t count); // in place
typedef void hr_bit_logic_fn(uint8_t *out, size_t out_offset, const uint8_t *a, size_t a_offset,
                             const uint8_t *b, size_t b_offset, size_t count);
typedef void hr_affine_fn(double *out, const void *in, double shift, double scale, size_t count);
typedef void hr_moments_fn(hr_moments *inout, const void *in, const uint8_t *valid,
                           size_t valid_offset, size_t count);
typedef void hr_sum_float_fn(hr_sum *inout, const void *in, const uint8_t *valid,
                             size_t valid_offset, size_t count);
typedef uint64_t hr_sum_int_fn(const void *in, const uint8_t *valid, size_t valid_offset,
                               size_t count);
typedef size_t hr_extent_fn(void *min_out, void *max_out, const void *in, const uint8_t *valid,
                            size_t valid_offset, size_t count);

typedef struct hr_kernels {
    /**
     * Bit-packed integers, LSB first (Parquet's RLE hybrid and DELTA_BINARY_PACKED):
     * out[i] = bits [(first + i) * width, (first + i + 1) * width) of in. `first` lets a caller resume inside a run.
     * `width` 0 gives zeros. Never reads past in_bytes: bits past it read as 0, so a caller that cares checks
     * (first + count) * width <= 8 * in_bytes before.
     */
    struct {
        void (*to_u8)(uint8_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                      size_t first,
                      size_t count); // width <= 8
        void (*to_u16)(uint16_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                       size_t first,
                       size_t count); // width <= 16
        void (*to_u32)(uint32_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                       size_t first,
                       size_t count); // width <= 32
        void (*to_u64)(uint64_t *out, const uint8_t *in, size_t in_bytes, unsigned width,
                       size_t first,
                       size_t count); // width <= 64
    } unpack;

    /** Prefix sums: out[i] = (*last += min_delta + packed[i]), wrapping; *last is left at out[count - 1]. In place. */
    struct {
        void (*sum_i32)(int32_t *out, const uint32_t *packed, size_t count, int32_t min_delta,
                        int32_t *last);
        void (*sum_i64)(int64_t *out, const uint64_t *packed, size_t count, int64_t min_delta,
                        int64_t *last);
    } delta;

    /**
     * BYTE_STREAM_SPLIT: stream j (byte j of every value) begins at j * stream_bytes, has `count` bytes.
     * join: streams to values, out[i * width + j] = in[j * stream_bytes + i]. split: the contrary. Any width >= 1.
     */
    struct {
        void (*join)(uint8_t *out, const uint8_t *in, size_t stream_bytes, size_t width,
                     size_t count);
        void (*split)(uint8_t *out, size_t stream_bytes, const uint8_t *in, size_t width,
                      size_t count);
    } byte_split;

    /**
     * Dictionaries of fixed width entries. gather: out[i] = entries[codes[i]], `width` bytes each, any width >= 1.
     * Returns false if a code is not below `entries`; then out has undefined content, and nothing was read out of
     * bounds. check: whether all codes are below `entries` (before a take of strings, say).
     */
    struct {
        bool (*gather)(void *out, const void *values, size_t entries, const uint32_t *codes,
                       size_t count, size_t width);
        bool (*check)(const uint32_t *codes, size_t count, size_t entries);
    } dict;

    /** Bitmaps and selections. */
    struct {
        size_t (*count)(const uint8_t *bits, size_t offset, size_t count); // bits that are 1
        /** In place only with equal offsets. */
        void (*copy)(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                     size_t count);
        /** In place with an input of the same offset. */
        hr_bit_logic_fn *logic[HR_LOGIC_COUNT];
        void (*set)(uint8_t *out, size_t offset, size_t count, bool value);
        /** Bit i = bytes[i] != 0. Returns how many are 1. */
        size_t (*from_bytes)(uint8_t *out, size_t out_offset, const uint8_t *bytes, size_t count);
        /** out[i] = 0 or 1. */
        void (*to_bytes)(uint8_t *out, const uint8_t *bits, size_t offset, size_t count);
        /** Writes base + i for each bit i that is 1, ascending; returns how many. out needs room for exactly those. */
        size_t (*positions)(uint32_t *out, const uint8_t *bits, size_t offset, size_t count,
                            uint32_t base);
    } bits;

    /**
     * spread: the k-th value of the dense `in` goes to the row of the k-th set bit; other rows are zeroed.
     * out has `rows` values. In place (out == in): the dense values stand at the front, rows are filled
     * from the back. compact: the contrary, keeps the rows whose bit is 1; in place; out needs room for
     * exactly those. Both return the number of set bits. Any width >= 1.
     * spread_bits, compact_bits: the same for values that are bits themselves; not in place.
     */
    struct {
        size_t (*spread)(void *out, const void *in, const uint8_t *bits, size_t offset, size_t rows,
                         size_t width);
        size_t (*compact)(void *out, const void *in, const uint8_t *bits, size_t offset,
                          size_t rows, size_t width);
        size_t (*spread_bits)(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                              const uint8_t *bits, size_t offset, size_t rows);
        size_t (*compact_bits)(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                               const uint8_t *bits, size_t offset, size_t rows);
    } spread;

    /**
     * Rows by index: out[i] = in[index[i]], `width` bytes each, any width >= 1. The caller vouches for the indices:
     * check32/check64 tell whether all are below `limit`.
     */
    struct {
        void (*rows32)(void *out, const void *in, const uint32_t *index, size_t count,
                       size_t width);
        void (*rows64)(void *out, const void *in, const uint64_t *index, size_t count,
                       size_t width);
        /**
         * Several columns at once, side by side in rows of 16 bytes: four of 4 bytes or two of 8. join
         * makes the rows, part takes them by index: out[k][i] = column k of rows[index[i]].
         */
        void (*join4x4)(void *rows, const void *const *columns, size_t count);
        void (*part4x4)(void *const *out, const void *rows, const uint32_t *index, size_t count);
        void (*join2x8)(void *rows, const void *const *columns, size_t count);
        void (*part2x8)(void *const *out, const void *rows, const uint32_t *index, size_t count);
        void (*bits32)(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                       const uint32_t *index, size_t count);
        void (*bits64)(uint8_t *out, size_t out_offset, const uint8_t *in, size_t in_offset,
                       const uint64_t *index, size_t count);
        bool (*check32)(const uint32_t *index, size_t count, uint64_t limit);
        bool (*check64)(const uint64_t *index, size_t count, uint64_t limit);
        /**
         * Variable-length rows. First offsets: out[0] = start, out[i + 1] = out[i] + length of row index[i];
         * out has count + 1. Returns false, and undefined content, if the total passes the type's maximum or a
         * length is negative. Then bytes: copies row index[i] to out + (new_offsets[i] - new_offsets[0]) *
         * element_bytes. offsets32 are int32 offsets, offsets64 are int64; _by64 takes uint64 indices.
         */
        bool (*offsets32)(int32_t *out, int32_t start, const int32_t *offsets,
                          const uint32_t *index, size_t count);
        bool (*offsets64)(int64_t *out, int64_t start, const int64_t *offsets,
                          const uint32_t *index, size_t count);
        bool (*offsets32_by64)(int32_t *out, int32_t start, const int32_t *offsets,
                               const uint64_t *index, size_t count);
        bool (*offsets64_by64)(int64_t *out, int64_t start, const int64_t *offsets,
                               const uint64_t *index, size_t count);
        void (*bytes32)(void *out, const int32_t *new_offsets, const void *in,
                        const int32_t *offsets, const uint32_t *index, size_t count,
                        size_t element_bytes);
        void (*bytes64)(void *out, const int64_t *new_offsets, const void *in,
                        const int64_t *offsets, const uint32_t *index, size_t count,
                        size_t element_bytes);
        void (*bytes32_by64)(void *out, const int32_t *new_offsets, const void *in,
                             const int32_t *offsets, const uint64_t *index, size_t count,
                             size_t element_bytes);
        void (*bytes64_by64)(void *out, const int64_t *new_offsets, const void *in,
                             const int64_t *offsets, const uint64_t *index, size_t count,
                             size_t element_bytes);
        /** Rows of many tables: row i of out is row rows[i].row of bases[rows[i].base], `width` bytes each. Wide
         *  rows are written past the cache: whoever asks for so many in random order reads them later. */
        void (*mixed)(void *out, const void *const *bases, const hr_table_row *rows, size_t count,
                      size_t width);
    } take;

    /**
     * Casts, every pair. Integer to narrower integer wraps. Float to integer truncates and saturates; NaN gives 0.
     * To a float rounds once, to nearest even; too large gives infinity; NaN stays NaN (quiet). To bool: != 0
     * (NaN is true). The diagonal copies.
     */
    struct {
        hr_cast_fn *to[HR_NUM_COUNT][HR_NUM_COUNT]; // [from][to]
        /** Big-endian two's complement of `width` 1..16 bytes to 16 little-endian bytes, sign extended. */
        void (*decimal)(uint8_t *out, const uint8_t *in, size_t width, size_t count);
    } cast;

    /** Arithmetic by [operation][shape][type]; NULL where the enumeration says "floats only" and the type is not. */
    struct {
        hr_binary_fn *binary[HR_ARITH_COUNT][HR_SHAPE_COUNT][HR_NUM_ARITH_COUNT];
        hr_divide_fn *divide[HR_DIVIDE_COUNT][HR_SHAPE_COUNT][HR_NUM_ARITH_COUNT]; // in place
        hr_unary_fn *unary[HR_UNARY_COUNT][HR_NUM_ARITH_COUNT];
        hr_compare_fn *compare[HR_COMPARE_COUNT][HR_SHAPE_COUNT][HR_NUM_ARITH_COUNT];
        hr_mask_fn *classify[HR_CLASSIFY_COUNT][HR_NUM_ARITH_COUNT];     // F32 and F64; others NULL
        hr_logic_fn *logic[HR_LOGIC_COUNT];                              // byte masks
        void (*invert)(uint8_t *out, const uint8_t *mask, size_t count); // 1 - mask; in place
        /** out[i] = mask[i] ? a[i] : b[i], any width. A scalar operand is one value. In place with a or b. */
        void (*select)(void *out, const uint8_t *mask, const void *a, bool a_is_scalar,
                       const void *b, bool b_is_scalar, size_t count, size_t width);
    } arith;

    /**
     * out = (x - shift) * scale, or (x - shift) / scale, in float64 from any arithmetic type (converted first),
     * or in float32 from float32. In place where the widths are equal.
     */
    struct {
        hr_affine_fn *mul[HR_NUM_ARITH_COUNT];
        hr_affine_fn *div[HR_NUM_ARITH_COUNT];
        void (*mul_f32)(float *out, const float *in, float shift, float scale, size_t count);
        void (*div_f32)(float *out, const float *in, float shift, float scale, size_t count);
    } affine;

    /**
     * Reductions over the valid values of `in`. Float sums are reassociated in a fixed order: the same call gives the
     * same bits on every machine; another cut into calls may differ in the last bits.
     */
    struct {
        /** Pairwise in blocks, compensated between them; merged into *inout. By [HR_NUM_F32 or HR_NUM_F64]. */
        hr_sum_float_fn *sum_float[HR_NUM_ARITH_COUNT];
        /** Sign or zero extended to 64 bits, modulo 2^64. Integer types; floats NULL. */
        hr_sum_int_fn *sum_int[HR_NUM_ARITH_COUNT];
        /** Merged into *inout by Chan's rule, in float64. A NaN makes mean and m2 NaN. */
        hr_moments_fn *moments[HR_NUM_ARITH_COUNT];
        void (*moments_merge)(hr_moments *inout, const hr_moments *other);
        void (*sum_merge)(hr_sum *inout, const hr_sum *other);
        /** Least and greatest, NaN left out. Returns how many values took part; if 0 the outputs are untouched. */
        hr_extent_fn *extent[HR_NUM_ARITH_COUNT];
        /** Sum modulo 2^64 of the little-endian 8-byte words of bytes[0, byte_count), the last zero extended. */
        uint64_t (*touch)(const void *bytes, size_t byte_count);
    } reduce;

    /**
     * Row hashes: acc[row] takes in one column after another. The checksum of an epoch is the sum modulo 2^64, over
     * its rows in any cut and order, of finished accumulators:
     *
     *     hash.seed(acc, index of the first row in the epoch, rows, seed);
     *     for each column in order: hash.fixed(...) or hash.var32(...) or hash.bits(...) or hash.nulls(...);
     *     sum += hash.finish_sum(acc, rows);
     *
     * A null hashes as a constant, whatever bytes stand under it. Floats: every NaN hashes as one; -0.0 is not 0.0.
     * A value hashes by its bytes: int32 1 and int64 1 are equal up to 8 bytes a row, wider rows by length also.
     */
    struct {
        void (*seed)(uint64_t *acc, uint64_t first_row, size_t rows, uint64_t seed);
        void (*seed_at)(uint64_t *acc, const uint64_t *row_index, size_t rows, uint64_t seed);
        /** `per_row` values of `type` in each row. Types other than floats only tell the width. */
        void (*fixed)(uint64_t *acc, const void *values, hr_num type, size_t per_row,
                      const uint8_t *valid, size_t valid_offset, size_t rows);
        void (*bits)(uint64_t *acc, const uint8_t *bits, size_t offset, const uint8_t *valid,
                     size_t valid_offset, size_t rows); // as bytes 0 and 1
        /** Row i is values [offsets[i], offsets[i + 1]) of `type`; strings are HR_NUM_U8. */
        void (*var32)(uint64_t *acc, const void *values, hr_num type, const int32_t *offsets,
                      const uint8_t *valid, size_t valid_offset, size_t rows);
        void (*var64)(uint64_t *acc, const void *values, hr_num type, const int64_t *offsets,
                      const uint8_t *valid, size_t valid_offset, size_t rows);
        void (*nulls)(uint64_t *acc, size_t rows); // a column of nulls
        /** Avalanches each accumulator (in place when out == acc; out may be NULL) and returns their sum. */
        uint64_t (*finish_sum)(uint64_t *out, const uint64_t *acc, size_t rows);
    } hash;

    /** Columns to rows. */
    struct {
        /** out[row * out_stride + c] = column c converted as by cast; out_stride >= columns, in values. */
        void (*to_f32)(float *out, size_t out_stride, const hr_interleave_column *columns,
                       size_t column_count, size_t rows);
        void (*to_f64)(double *out, size_t out_stride, const hr_interleave_column *columns,
                       size_t column_count, size_t rows);
        /** `width` bytes a row from in (rows in_stride bytes apart) to out (rows out_stride bytes apart). */
        void (*strided)(void *out, size_t out_stride, const void *in, size_t in_stride,
                        size_t width, size_t rows);
    } interleave;

    /** Constants and ramps. */
    struct {
        void (*constant)(void *out, const void *value, size_t width,
                         size_t count); // any width >= 1
        void (*iota_i32)(int32_t *out, int32_t first, int32_t step, size_t count);
        void (*iota_i64)(int64_t *out, int64_t first, int64_t step, size_t count);
        /** out [rows, row_values]: row i is filled with first + i. */
        void (*range_rows)(int64_t *out, int64_t first, size_t row_values, size_t rows);
        /** Copies past the cache: for what is larger than it and read later. No overlap; done when it returns. */
        void (*stream)(void *out, const void *in, size_t bytes);
    } fill;
} hr_kernels;

/** The table for this processor, under hr__cpu_set_mask(). Filled by the first call; thread-safe. */
const hr_kernels *hr__kernels(void);

/** Fills a table of the caller's with the best versions for a set of HR_CPU_* features; 0 is the reference. */
void hr__kernels_fill(hr_kernels *kernels, unsigned features);

/** The name of the best version that `features` reaches: "avx2" or "c". Static text. */
const char *hr__kernels_isa(unsigned features);

#endif
