// SPDX-License-Identifier: Apache-2.0
/*
 * Times of the families: the reference beside an instruction set, on buffers that fit the L2 cache (and one
 * that does not, where memory is the point). The two take turns of 1 ms and the best of 15 counts, so that a
 * busy machine spoils a turn and not the ratio. GB/s are of the bytes written, or read where nothing much is written.
 */
#include "kernel/check/check.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"

enum {
    VALUES = 16384,
    ROUNDS = 15,
    ROUND_NS = 1000 * 1000,
    WIDE_BYTES = 204800, // a row of 25,600 int64
    BIG_BYTES = 64 << 20
};

/** Room for every case, and what cases put into it. */
typedef struct bench_data {
    uint8_t *in, *other, *out, *bits, *big;
    uint32_t *codes;
    uint64_t *acc;
    unsigned width;
    uint64_t hash; // of results, so that nothing is optimised away
} bench_data;

typedef void bench_fn(const hr_kernels *k, bench_data *d);

static void unpack_u8(const hr_kernels *k, bench_data *d)
{
    k->unpack.to_u8(d->out, d->in, VALUES, d->width, 0, VALUES);
}
static void unpack_u16(const hr_kernels *k, bench_data *d)
{
    k->unpack.to_u16((void *)d->out, d->in, 2 * VALUES, d->width, 0, VALUES);
}
static void unpack_u32(const hr_kernels *k, bench_data *d)
{
    k->unpack.to_u32((void *)d->out, d->in, 4 * VALUES, d->width, 0, VALUES);
}
static void unpack_u64(const hr_kernels *k, bench_data *d)
{
    k->unpack.to_u64((void *)d->out, d->in, 8 * VALUES, d->width, 0, VALUES);
}
static void delta_i32(const hr_kernels *k, bench_data *d)
{
    int32_t last = 0;
    k->delta.sum_i32((void *)d->out, (const void *)d->in, VALUES, 3, &last);
}
static void delta_i64(const hr_kernels *k, bench_data *d)
{
    int64_t last = 0;
    k->delta.sum_i64((void *)d->out, (const void *)d->in, VALUES, 3, &last);
}
static void join(const hr_kernels *k, bench_data *d)
{
    k->byte_split.join(d->out, d->in, VALUES, d->width, VALUES);
}
static void dict(const hr_kernels *k, bench_data *d)
{
    d->hash += k->dict.gather(d->out, d->in, 1000, d->codes, VALUES, d->width);
}
static void dict_check(const hr_kernels *k, bench_data *d)
{
    d->hash += k->dict.check(d->codes, VALUES, 1000);
}
static void count_bits(const hr_kernels *k, bench_data *d)
{
    d->hash += k->bits.count(d->in, 3, 8 * VALUES);
}
static void bits_and(const hr_kernels *k, bench_data *d)
{
    k->bits.logic[HR_LOGIC_AND](d->out, 1, d->in, 3, d->other, 6, 8 * VALUES);
}
static void bits_copy(const hr_kernels *k, bench_data *d)
{
    k->bits.copy(d->out, 1, d->in, 3, 8 * VALUES);
}
static void from_bytes(const hr_kernels *k, bench_data *d)
{
    d->hash += k->bits.from_bytes(d->out, 0, d->in, VALUES);
}
static void to_bytes(const hr_kernels *k, bench_data *d)
{
    k->bits.to_bytes(d->out, d->in, 3, VALUES);
}
static void positions(const hr_kernels *k, bench_data *d)
{
    d->hash += k->bits.positions((void *)d->out, d->bits, 0, VALUES, 0);
}
static void spread(const hr_kernels *k, bench_data *d)
{
    d->hash += k->spread.spread(d->out, d->in, d->bits, 0, VALUES, d->width);
}
static void compact(const hr_kernels *k, bench_data *d)
{
    d->hash += k->spread.compact(d->out, d->in, d->bits, 0, VALUES, d->width);
}
static void spread_bits(const hr_kernels *k, bench_data *d)
{
    d->hash += k->spread.spread_bits(d->out, 0, d->in, 0, d->bits, 0, VALUES);
}
static void compact_bits(const hr_kernels *k, bench_data *d)
{
    d->hash += k->spread.compact_bits(d->out, 0, d->in, 0, d->bits, 0, VALUES);
}
static void cast(const hr_kernels *k, bench_data *d)
{
    k->cast.to[d->width / 16][d->width % 16](d->out, d->in, VALUES);
}
static void arith(const hr_kernels *k, bench_data *d)
{
    k->arith.binary[d->width / 16][HR_SHAPE_VV][d->width % 16](d->out, d->in, d->other, VALUES);
}
static void unary(const hr_kernels *k, bench_data *d)
{
    k->arith.unary[d->width / 16][d->width % 16](d->out, d->in, VALUES);
}
static void compare(const hr_kernels *k, bench_data *d)
{
    k->arith.compare[HR_COMPARE_LT][HR_SHAPE_VS][d->width](d->out, d->in, d->other, VALUES);
}
static void select_from(const hr_kernels *k, bench_data *d)
{
    k->arith.select(d->out, d->bits, d->in, false, d->other, false, VALUES, d->width);
}
static void logic(const hr_kernels *k, bench_data *d)
{
    k->arith.logic[HR_LOGIC_AND](d->out, d->in, d->other, VALUES);
}
static void affine(const hr_kernels *k, bench_data *d)
{
    k->affine.mul[d->width]((void *)d->out, d->in, 1.5, 2.5, VALUES);
}
static void affine_f32(const hr_kernels *k, bench_data *d)
{
    k->affine.mul_f32((void *)d->out, (const void *)d->in, 1.5f, 2.5f, VALUES);
}
static void sum_f64(const hr_kernels *k, bench_data *d)
{
    hr_sum sum = {0};
    k->reduce.sum_float[HR_NUM_F64](&sum, d->in, NULL, 0, VALUES);
    d->hash += sum.high != 0;
}
static void sum_i32(const hr_kernels *k, bench_data *d)
{
    d->hash += k->reduce.sum_int[HR_NUM_I32](d->in, NULL, 0, VALUES);
}
static void moments(const hr_kernels *k, bench_data *d)
{
    hr_moments m = {0};
    k->reduce.moments[d->width](&m, d->in, NULL, 0, VALUES);
    d->hash += m.mean > 0;
}
static void extent(const hr_kernels *k, bench_data *d)
{
    uint64_t least, greatest;
    d->hash += k->reduce.extent[d->width](&least, &greatest, d->in, NULL, 0, VALUES);
}
static void touch(const hr_kernels *k, bench_data *d)
{
    d->hash += k->reduce.touch(d->in, 8 * VALUES);
}
static void touch_big(const hr_kernels *k, bench_data *d)
{
    d->hash += k->reduce.touch(d->big, BIG_BYTES);
}
static void hash_words(const hr_kernels *k, bench_data *d)
{
    k->hash.fixed(d->acc, d->in, (hr_num)d->width, 1, NULL, 0, VALUES);
}
static void hash_valid(const hr_kernels *k, bench_data *d)
{
    k->hash.fixed(d->acc, d->in, HR_NUM_F64, 1, d->bits, 0, VALUES);
}
static void hash_seed(const hr_kernels *k, bench_data *d)
{
    k->hash.seed(d->acc, 5, VALUES, 7);
}
static void hash_finish(const hr_kernels *k, bench_data *d)
{
    d->hash += k->hash.finish_sum(NULL, d->acc, VALUES);
}
static void hash_wide(const hr_kernels *k, bench_data *d)
{
    hr_num type = (hr_num)d->width;
    k->hash.fixed(d->acc, d->big, type, WIDE_BYTES / hr__num_bytes(type), NULL, 0,
                  BIG_BYTES / WIDE_BYTES);
}
static void interleave(const hr_kernels *k, bench_data *d)
{
    hr_interleave_column columns[16];
    for (size_t c = 0; c < HR_COUNTOF(columns); c++)
        columns[c] = (hr_interleave_column){.values = d->in + 64 * c, .type = (hr_num)d->width};
    k->interleave.to_f32((void *)d->out, 16, columns, 16, VALUES / 16);
}
static void interleave_f64(const hr_kernels *k, bench_data *d)
{
    hr_interleave_column columns[16];
    for (size_t c = 0; c < HR_COUNTOF(columns); c++)
        columns[c] = (hr_interleave_column){.values = d->in + 64 * c, .type = (hr_num)d->width};
    k->interleave.to_f64((void *)d->out, 16, columns, 16, VALUES / 16);
}
static void together(const hr_kernels *k, bench_data *d)
{
    size_t width = d->width, count = VALUES / 4, columns = 16 / width;
    const void *from[4] = {NULL};
    void *to[4] = {NULL};
    for (size_t c = 0; c < columns; c++) {
        from[c] = d->in + c * count * width;
        to[c] = d->out + c * count * width;
    }
    (width == 4 ? k->take.join4x4 : k->take.join2x8)((void *)d->big, from, count);
    (width == 4 ? k->take.part4x4 : k->take.part2x8)(to, d->big, d->codes, count);
}
static void iota(const hr_kernels *k, bench_data *d)
{
    k->fill.iota_i64((void *)d->out, 1, 3, VALUES);
}
static void range(const hr_kernels *k, bench_data *d)
{
    k->fill.range_rows((void *)d->out, 1, VALUES / 4, 4);
}
static void range_big(const hr_kernels *k, bench_data *d)
{
    k->fill.range_rows((void *)d->big, 1, WIDE_BYTES / 8, BIG_BYTES / WIDE_BYTES);
}

#define PAIR(a, b) ((a)*16 + (b))
static const struct {
    const char *name;
    bench_fn *run;
    unsigned width; // of values, of bits, or which types and operation
    size_t bytes;
} cases[] = {
    {"unpack u8, 1 bit", unpack_u8, 1, VALUES},
    {"unpack u8, 3 bits", unpack_u8, 3, VALUES},
    {"unpack u16, 11 bits", unpack_u16, 11, VALUES * 2},
    {"unpack u32, 1 bit", unpack_u32, 1, VALUES * 4},
    {"unpack u32, 10 bits", unpack_u32, 10, VALUES * 4},
    {"unpack u32, 17 bits", unpack_u32, 17, VALUES * 4},
    {"unpack u32, 28 bits", unpack_u32, 28, VALUES * 4},
    {"unpack u64, 10 bits", unpack_u64, 10, VALUES * 8},
    {"unpack u64, 40 bits", unpack_u64, 40, VALUES * 8},
    {"delta i32", delta_i32, 0, VALUES * 4},
    {"delta i64", delta_i64, 0, VALUES * 8},
    {"byte_split join 2", join, 2, VALUES * 2},
    {"byte_split join 4", join, 4, VALUES * 4},
    {"byte_split join 8", join, 8, VALUES * 8},
    {"dict check", dict_check, 0, VALUES * 4},
    {"dict gather 1", dict, 1, VALUES},
    {"dict gather 4", dict, 4, VALUES * 4},
    {"dict gather 8", dict, 8, VALUES * 8},
    {"dict gather 16", dict, 16, VALUES * 16},
    {"bits count", count_bits, 0, VALUES},
    {"bits and", bits_and, 0, VALUES},
    {"bits copy, shifted", bits_copy, 0, VALUES},
    {"bits from bytes", from_bytes, 0, VALUES},
    {"bits to bytes", to_bytes, 0, VALUES},
    {"bits positions", positions, 0, VALUES * 2},
    {"spread 1", spread, 1, VALUES},
    {"spread 4", spread, 4, VALUES * 4},
    {"spread 8", spread, 8, VALUES * 8},
    {"spread bits", spread_bits, 0, VALUES / 8},
    {"compact 1", compact, 1, VALUES},
    {"compact 4", compact, 4, VALUES * 4},
    {"compact 8", compact, 8, VALUES * 8},
    {"compact bits", compact_bits, 0, VALUES / 8},
    {"cast f16 f32", cast, PAIR(HR_NUM_F16, HR_NUM_F32), VALUES * 4},
    {"cast f32 f16", cast, PAIR(HR_NUM_F32, HR_NUM_F16), VALUES * 2},
    {"cast f64 bf16", cast, PAIR(HR_NUM_F64, HR_NUM_BF16), VALUES * 2},
    {"cast f64 f32", cast, PAIR(HR_NUM_F64, HR_NUM_F32), VALUES * 4},
    {"cast i64 f64", cast, PAIR(HR_NUM_I64, HR_NUM_F64), VALUES * 8},
    {"cast i32 f32", cast, PAIR(HR_NUM_I32, HR_NUM_F32), VALUES * 4},
    {"cast u8 f32", cast, PAIR(HR_NUM_U8, HR_NUM_F32), VALUES * 4},
    {"cast f32 i32", cast, PAIR(HR_NUM_F32, HR_NUM_I32), VALUES * 4},
    {"cast f64 i64", cast, PAIR(HR_NUM_F64, HR_NUM_I64), VALUES * 8},
    {"cast i64 i32", cast, PAIR(HR_NUM_I64, HR_NUM_I32), VALUES * 4},
    {"arith add f32", arith, PAIR(HR_ARITH_ADD, HR_NUM_F32), VALUES * 4},
    {"arith add i8", arith, PAIR(HR_ARITH_ADD, HR_NUM_I8), VALUES},
    {"arith mul f64", arith, PAIR(HR_ARITH_MUL, HR_NUM_F64), VALUES * 8},
    {"arith mul i64", arith, PAIR(HR_ARITH_MUL, HR_NUM_I64), VALUES * 8},
    {"arith max f32", arith, PAIR(HR_ARITH_MAX, HR_NUM_F32), VALUES * 4},
    {"arith min i64", arith, PAIR(HR_ARITH_MIN, HR_NUM_I64), VALUES * 8},
    {"arith div f64", arith, PAIR(HR_ARITH_DIV, HR_NUM_F64), VALUES * 8},
    {"unary abs f32", unary, PAIR(HR_UNARY_ABS, HR_NUM_F32), VALUES * 4},
    {"unary sqrt f64", unary, PAIR(HR_UNARY_SQRT, HR_NUM_F64), VALUES * 8},
    {"unary floor f64", unary, PAIR(HR_UNARY_FLOOR, HR_NUM_F64), VALUES * 8},
    {"unary round f32", unary, PAIR(HR_UNARY_ROUND, HR_NUM_F32), VALUES * 4},
    {"compare lt f32", compare, HR_NUM_F32, VALUES * 4},
    {"compare lt f64", compare, HR_NUM_F64, VALUES * 8},
    {"compare lt i64", compare, HR_NUM_I64, VALUES * 8},
    {"select 4", select_from, 4, VALUES * 4},
    {"select 8", select_from, 8, VALUES * 8},
    {"mask and", logic, 0, VALUES},
    {"affine f64", affine, HR_NUM_F64, VALUES * 8},
    {"affine i32 to f64", affine, HR_NUM_I32, VALUES * 8},
    {"affine f32", affine_f32, 0, VALUES * 4},
    {"sum f64", sum_f64, 0, VALUES * 8},
    {"sum i32", sum_i32, 0, VALUES * 4},
    {"moments f64", moments, HR_NUM_F64, VALUES * 8},
    {"moments f32", moments, HR_NUM_F32, VALUES * 4},
    {"extent f32", extent, HR_NUM_F32, VALUES * 4},
    {"extent i64", extent, HR_NUM_I64, VALUES * 8},
    {"extent u8", extent, HR_NUM_U8, VALUES},
    {"touch, L2", touch, 0, VALUES * 8},
    {"touch, 64 MiB", touch_big, 0, BIG_BYTES},
    {"hash seed", hash_seed, 0, VALUES * 8},
    {"hash i64", hash_words, HR_NUM_I64, VALUES * 8},
    {"hash f32", hash_words, HR_NUM_F32, VALUES * 4},
    {"hash f64, nulls", hash_valid, 0, VALUES * 8},
    {"hash finish", hash_finish, 0, VALUES * 8},
    {"hash wide rows i64", hash_wide, HR_NUM_I64, BIG_BYTES},
    {"hash wide rows f32", hash_wide, HR_NUM_F32, BIG_BYTES},
    {"interleave 16 f32", interleave, HR_NUM_F32, VALUES * 4},
    {"interleave 16 f64 to f32", interleave, HR_NUM_F64, VALUES * 4},
    {"interleave 16 f64", interleave_f64, HR_NUM_F64, VALUES * 8},
    {"take together, 4 of 4 bytes", together, 4, VALUES * 4},
    {"take together, 2 of 8 bytes", together, 8, VALUES * 4},
    {"fill iota i64", iota, 0, VALUES * 8},
    {"fill range rows, L2", range, 0, VALUES * 8},
    {"fill range rows, 64 MiB", range_big, 0, BIG_BYTES},
};

/** Nanoseconds of one call, in one turn. */
static double time_turn(size_t which, const hr_kernels *k, bench_data *d)
{
    uint64_t calls = 0, start = hr__now_ns(), spent;
    do {
        cases[which].run(k, d);
        calls++;
        spent = hr__now_ns() - start;
    } while (spent < ROUND_NS);
    return (double)spent / (double)calls;
}

static void *room(size_t bytes)
{
    uint8_t *at = NULL;
    if (hr__alloc_aligned(bytes, HR_ALIGN, &at, NULL) != HR_OK)
        abort();
    hr_check random = {.state = bytes};
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        store64(at + i, hr__check_random(&random));
    return at;
}

void hr__check_bench(const hr_kernels *reference, const hr_kernels *kernels, const char *isa)
{
    bench_data d = {.in = room(VALUES * 16), .other = room(VALUES * 16), .out = room(VALUES * 16)};
    d.bits = room(VALUES), d.big = room(BIG_BYTES), d.codes = room(VALUES * 4);
    d.acc = room(VALUES * 8);
    for (size_t i = 0; i < VALUES; i++)
        d.codes[i] %= 1000;
    // Floats near one, whichever width they are read in: neither NaN nor subnormal.
    for (size_t i = 0; i < VALUES * 4; i++) {
        uint32_t word = 0x3f800000u | (d.codes[i % VALUES] << 8);
        memcpy(d.in + 4 * i, &word, 4);
        memcpy(d.other + 4 * i, &word, 4);
    }
    printf("%-26s %10s %10s %7s\n", "kernel, GB/s", "c", isa, "ratio");
    for (size_t i = 0; i < HR_COUNTOF(cases); i++) {
        double slow = 1e18, fast = 1e18, bytes = (double)cases[i].bytes;
        d.width = cases[i].width;
        for (int round = 0; round < ROUNDS; round++) {
            double a = time_turn(i, reference, &d), b = time_turn(i, kernels, &d);
            slow = HR_MIN(slow, a);
            fast = HR_MIN(fast, b);
        }
        printf("%-26s %10.2f %10.2f %7.2f\n", cases[i].name, bytes / slow, bytes / fast,
               slow / fast);
    }
    printf("hash of results: %016llx\n", (unsigned long long)d.hash);
    hr__free(d.in), hr__free(d.other), hr__free(d.out), hr__free(d.bits);
    hr__free(d.big), hr__free(d.codes), hr__free(d.acc);
}
