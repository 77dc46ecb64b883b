// SPDX-License-Identifier: Apache-2.0
// One row a codec: name, decompress, compress, bound, and how far a stream can expand. An absent library leaves the
// row's functions NULL, which is UNSUPPORTED by name; nobody else looks at an #ifdef.
//
// Decompressor contexts are costly to make (zstd: 160 KiB), so they are kept in small lock-free pools and stay warm;
// a pool never holds more than as many as ran at once.
#include "format/codec.h"
#include "base/cursor.h"
#include <stdatomic.h>
#include <string.h>
#ifdef HR_HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef HR_HAVE_LZ4
#include <lz4.h>
#endif
#ifdef HR_HAVE_SNAPPY
#include <snappy-c.h>
#endif
#if defined(HR_HAVE_BROTLI) && defined(HR_HAVE_BROTLI_DECODE)
#include <brotli/decode.h>
#include <brotli/encode.h>
#endif
#ifdef HR_HAVE_DEFLATE
#include <libdeflate.h>
#endif

#define POOL_SLOTS 64
// A stream that is read by parts keeps its window: of larger ones the front is not read apart.
#define ZSTD_WINDOW_LOG_MAX 23
#define ZSTD_KEPT_BYTES_MAX (4u << 20)

typedef struct codec_row {
    const char *name;
    hr_status (*decompress)(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                            hr_error *err);
    hr_status (*compress)(int level, const void *in, size_t in_bytes, void *out, size_t room,
                          size_t *bytes_out, hr_error *err);
    size_t (*bound)(size_t in_bytes);
    size_t (*prefix)(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room);
    uint64_t expansion_max; // output bytes an input byte can stand for; 0: no useful bound
} codec_row;

#if defined(HR_HAVE_ZSTD) || defined(HR_HAVE_DEFLATE)
typedef struct pool {
    _Atomic(void *) slots[POOL_SLOTS];
} pool;

// Acquire and release order: the context's own memory travels with the pointer.
static void *pool_take(pool *p)
{
    for (int i = 0; i < POOL_SLOTS; i++) {
        if (!atomic_load_explicit(&p->slots[i], memory_order_relaxed))
            continue;
        void *found = atomic_exchange_explicit(&p->slots[i], NULL, memory_order_acq_rel);
        if (found)
            return found;
    }
    return NULL;
}

// False: the pool is full, the caller frees it.
static bool pool_give(pool *p, void *context)
{
    for (int i = 0; i < POOL_SLOTS; i++) {
        void *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&p->slots[i], &empty, context,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}
#endif

static hr_status wrong_size(hr_error *err, const char *codec, size_t in_bytes, size_t out_bytes)
{
    return HR_FAIL(err, HR_CORRUPT, "%s: %zu bytes do not decompress to exactly %zu bytes", codec,
                   in_bytes, out_bytes);
}

#if defined(HR_HAVE_ZSTD) || defined(HR_HAVE_LZ4) || defined(HR_HAVE_BROTLI) ||                    \
    defined(HR_HAVE_DEFLATE) || defined(HR_HAVE_SNAPPY)
static hr_status no_room(hr_error *err, const char *codec, size_t in_bytes, size_t room)
{
    return HR_FAIL(err, HR_LIMIT, "%s: %zu bytes do not compress into %zu bytes", codec, in_bytes,
                   room);
}
#endif

static hr_status none_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                 hr_error *err)
{
    if (in_bytes != out_bytes)
        return wrong_size(err, "uncompressed", in_bytes, out_bytes);
    memcpy(out, in, out_bytes);
    return HR_OK;
}

static hr_status none_compress(int level, const void *in, size_t in_bytes, void *out, size_t room,
                               size_t *bytes_out, hr_error *err)
{
    if (in_bytes > room)
        return HR_FAIL(err, HR_LIMIT, "uncompressed: %zu bytes into %zu bytes", in_bytes, room);
    memcpy(out, in, in_bytes);
    *bytes_out = in_bytes;
    return HR_OK;
}

static size_t none_bound(size_t in_bytes)
{
    return in_bytes;
}

static size_t none_prefix(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room)
{
    size_t count = HR_MIN(in_bytes, room);
    memcpy(out, in, count);
    return count;
}

#ifdef HR_HAVE_ZSTD
static pool zstd_readers, zstd_writers;

static hr_status zstd_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                 hr_error *err)
{
    ZSTD_DCtx *context = pool_take(&zstd_readers);
    if (!context)
        context = ZSTD_createDCtx();
    if (!context)
        return HR_FAIL(err, HR_NOMEM, "zstd: no memory for a decompressor");
    size_t got = ZSTD_decompressDCtx(context, out, out_bytes, in, in_bytes);
    if (!pool_give(&zstd_readers, context))
        ZSTD_freeDCtx(context);
    if (ZSTD_isError(got))
        return HR_FAIL(err, HR_CORRUPT, "zstd: %s (%zu bytes to %zu)", ZSTD_getErrorName(got),
                       in_bytes, out_bytes);
    return got == out_bytes ? HR_OK : wrong_size(err, "zstd", in_bytes, out_bytes);
}

static hr_status zstd_compress(int level, const void *in, size_t in_bytes, void *out, size_t room,
                               size_t *bytes_out, hr_error *err)
{
    ZSTD_CCtx *context = pool_take(&zstd_writers);
    if (!context)
        context = ZSTD_createCCtx();
    if (!context)
        return HR_FAIL(err, HR_NOMEM, "zstd: no memory for a compressor");
    size_t got = ZSTD_compressCCtx(context, out, room, in, in_bytes, level ? level : 3);
    if (!pool_give(&zstd_writers, context))
        ZSTD_freeCCtx(context);
    if (ZSTD_isError(got))
        return no_room(err, "zstd", in_bytes, room);
    *bytes_out = got;
    return HR_OK;
}

static size_t zstd_bound(size_t in_bytes)
{
    return ZSTD_compressBound(in_bytes);
}

// Contexts that read by parts hold a window each, which those above do without.
static pool zstd_part_readers;

static ZSTD_DCtx *zstd_part_reader(void)
{
    ZSTD_DCtx *context = pool_take(&zstd_part_readers);
    if (context)
        return context;
    context = ZSTD_createDCtx();
    if (context &&
        ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX))) {
        ZSTD_freeDCtx(context);
        return NULL;
    }
    return context;
}

// Block by block, of at most 128 KiB each.
static size_t zstd_prefix(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room)
{
    ZSTD_DCtx *context = zstd_part_reader();
    ZSTD_inBuffer from = {in, in_bytes, 0};
    ZSTD_outBuffer to = {out, room, 0};
    if (!context)
        return 0;
    for (size_t before = SIZE_MAX; to.pos < room && from.pos + to.pos != before;) {
        before = from.pos + to.pos;
        if (ZSTD_isError(ZSTD_decompressStream(context, &to, &from)))
            break;
    }
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    if (ZSTD_sizeof_DCtx(context) > ZSTD_KEPT_BYTES_MAX || !pool_give(&zstd_part_readers, context))
        ZSTD_freeDCtx(context);
    return to.pos;
}
#else
#define zstd_prefix     NULL
#define zstd_decompress NULL
#define zstd_compress   NULL
#define zstd_bound      NULL
#endif

#ifdef HR_HAVE_SNAPPY
static hr_status snappy_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                   hr_error *err)
{
    size_t stated = 0;
    if (snappy_uncompressed_length(in, in_bytes, &stated) != SNAPPY_OK || stated != out_bytes)
        return wrong_size(err, "snappy", in_bytes, out_bytes);
    if (snappy_uncompress(in, in_bytes, out, &stated) != SNAPPY_OK || stated != out_bytes)
        return HR_FAIL(err, HR_CORRUPT, "snappy: %zu bytes are not a valid stream", in_bytes);
    return HR_OK;
}

static hr_status snappy_compress_(int level, const void *in, size_t in_bytes, void *out,
                                  size_t room, size_t *bytes_out, hr_error *err)
{
    size_t got = room;
    if (snappy_compress(in, in_bytes, out, &got) != SNAPPY_OK)
        return no_room(err, "snappy", in_bytes, room);
    *bytes_out = got;
    return HR_OK;
}

static size_t snappy_bound(size_t in_bytes)
{
    return snappy_max_compressed_length(in_bytes);
}

// One element (format_description.txt, 2): a literal or a copy. Bytes come from *from when `distance` is 0.
typedef struct snappy_element {
    size_t count, distance;
} snappy_element;

static snappy_element snappy_next(hr_cursor *c)
{
    uint8_t tag = hr__cursor_u8(c);
    size_t high = tag >> 2;
    if ((tag & 3) == 0 && high >= 60) { // a literal whose length stands in 1 to 4 bytes
        size_t length = 0;
        for (size_t i = 0; i < high - 59; i++)
            length |= (size_t)hr__cursor_u8(c) << (8 * i);
        return (snappy_element){length + 1, 0};
    }
    if ((tag & 3) == 0)
        return (snappy_element){high + 1, 0};
    if ((tag & 3) == 1)
        return (snappy_element){(high & 7) + 4, (high >> 3) << 8 | hr__cursor_u8(c)};
    size_t distance = (tag & 3) == 2 ? hr__cursor_u16(c) : hr__cursor_u32(c);
    return (snappy_element){high + 1, distance};
}

// The library reads whole streams alone.
static size_t snappy_prefix(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room)
{
    hr_cursor c = hr__cursor(in, in_bytes);
    uint64_t stated = hr__cursor_varint(&c);
    size_t made = 0;
    room = (size_t)HR_MIN(room, stated);
    while (made < room && hr__cursor_left(&c) > 0) {
        bool literal = (*c.at & 3) == 0;
        snappy_element e = snappy_next(&c);
        if (c.failed || (!literal && (e.distance == 0 || e.distance > made)))
            break;
        size_t count = HR_MIN(e.count, room - made);
        if (literal) {
            count = HR_MIN(count, hr__cursor_left(&c));
            memcpy(out + made, hr__cursor_take(&c, count), count);
            made += count;
        }
        for (size_t end = made + count; !literal && made < end; made++)
            out[made] = out[made - e.distance]; // they may overlap
    }
    return made;
}
#else
#define snappy_prefix     NULL
#define snappy_decompress NULL
#define snappy_compress_  NULL
#define snappy_bound      NULL
#endif

#ifdef HR_HAVE_LZ4
static bool lz4_block(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    if (in_bytes > INT32_MAX || out_bytes > INT32_MAX)
        return false;
    return LZ4_decompress_safe((const char *)in, (char *)out, (int)in_bytes, (int)out_bytes) ==
           (int)out_bytes;
}

static hr_status lz4_raw_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                    hr_error *err)
{
    if (!lz4_block(in, in_bytes, out, out_bytes))
        return wrong_size(err, "lz4", in_bytes, out_bytes);
    return HR_OK;
}

// Of a front that is cut where it cannot be read, or is no front, it says nothing.
static size_t lz4_raw_prefix(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t room)
{
    int target = (int)HR_MIN(room, INT32_MAX);
    if (in_bytes > INT32_MAX)
        return 0;
    int got =
        LZ4_decompress_safe_partial((const char *)in, (char *)out, (int)in_bytes, target, target);
    return got > 0 ? (size_t)got : 0;
}

static uint32_t big_endian32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// Hadoop: frames of {uncompressed bytes, compressed bytes} big-endian, then one block each. Spark and old
// parquet-mr wrote these under the name LZ4; Arrow before 0.15 wrote a bare block under the same name.
static bool lz4_hadoop(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    while (in_bytes >= 8) {
        size_t raw = big_endian32(in), packed = big_endian32(in + 4);
        in += 8;
        in_bytes -= 8;
        if (packed > in_bytes || raw > out_bytes || !lz4_block(in, packed, out, raw))
            return false;
        in += packed;
        in_bytes -= packed;
        out += raw;
        out_bytes -= raw;
    }
    return in_bytes == 0 && out_bytes == 0;
}

static hr_status lz4_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                hr_error *err)
{
    if (lz4_hadoop(in, in_bytes, out, out_bytes))
        return HR_OK;
    return lz4_raw_decompress(in, in_bytes, out, out_bytes, err);
}

static hr_status lz4_raw_compress(int level, const void *in, size_t in_bytes, void *out,
                                  size_t room, size_t *bytes_out, hr_error *err)
{
    int got = 0;
    if (in_bytes <= LZ4_MAX_INPUT_SIZE)
        got = LZ4_compress_default(in, out, (int)in_bytes, (int)HR_MIN(room, INT32_MAX));
    if (got <= 0)
        return no_room(err, "lz4", in_bytes, room);
    *bytes_out = (size_t)got;
    return HR_OK;
}

static size_t lz4_bound(size_t in_bytes)
{
    return in_bytes <= LZ4_MAX_INPUT_SIZE ? (size_t)LZ4_compressBound((int)in_bytes) : 0;
}
#else
#define lz4_raw_prefix     NULL
#define lz4_raw_decompress NULL
#define lz4_decompress     NULL
#define lz4_raw_compress   NULL
#define lz4_bound          NULL
#endif

#if defined(HR_HAVE_BROTLI) && defined(HR_HAVE_BROTLI_DECODE)
static hr_status brotli_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                   hr_error *err)
{
    size_t got = out_bytes;
    if (BrotliDecoderDecompress(in_bytes, in, &got, out) != BROTLI_DECODER_RESULT_SUCCESS ||
        got != out_bytes)
        return wrong_size(err, "brotli", in_bytes, out_bytes);
    return HR_OK;
}

static hr_status brotli_compress(int level, const void *in, size_t in_bytes, void *out, size_t room,
                                 size_t *bytes_out, hr_error *err)
{
    size_t got = room;
    if (!BrotliEncoderCompress(level ? level : 4, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC,
                               in_bytes, in, &got, out))
        return no_room(err, "brotli", in_bytes, room);
    *bytes_out = got;
    return HR_OK;
}

static size_t brotli_bound(size_t in_bytes)
{
    return BrotliEncoderMaxCompressedSize(in_bytes) + 16;
}
#else
#define brotli_decompress NULL
#define brotli_compress   NULL
#define brotli_bound      NULL
#endif

#ifdef HR_HAVE_DEFLATE
static pool deflate_readers;

// gzip members one after another (RFC 1952 2.2), or one zlib stream, which some writers meant by gzip.
static enum libdeflate_result inflate_all(struct libdeflate_decompressor *context,
                                          const uint8_t *in, size_t in_bytes, uint8_t *out,
                                          size_t out_bytes)
{
    size_t used = 0, made = 0;
    if (in_bytes < 2 || in[0] != 0x1f || in[1] != 0x8b)
        return libdeflate_zlib_decompress(context, in, in_bytes, out, out_bytes, NULL);
    do {
        enum libdeflate_result result =
            libdeflate_gzip_decompress_ex(context, in, in_bytes, out, out_bytes, &used, &made);
        if (result != LIBDEFLATE_SUCCESS)
            return result;
        in += used;
        in_bytes -= used;
        out += made;
        out_bytes -= made;
    } while (in_bytes > 0);
    return out_bytes == 0 ? LIBDEFLATE_SUCCESS : LIBDEFLATE_SHORT_OUTPUT;
}

static hr_status gzip_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                 hr_error *err)
{
    struct libdeflate_decompressor *context = pool_take(&deflate_readers);
    if (!context)
        context = libdeflate_alloc_decompressor();
    if (!context)
        return HR_FAIL(err, HR_NOMEM, "gzip: no memory for a decompressor");
    enum libdeflate_result result = inflate_all(context, in, in_bytes, out, out_bytes);
    if (!pool_give(&deflate_readers, context))
        libdeflate_free_decompressor(context);
    if (result == LIBDEFLATE_BAD_DATA)
        return HR_FAIL(err, HR_CORRUPT, "gzip: %zu bytes are not a valid stream", in_bytes);
    return result == LIBDEFLATE_SUCCESS ? HR_OK : wrong_size(err, "gzip", in_bytes, out_bytes);
}

static hr_status gzip_compress(int level, const void *in, size_t in_bytes, void *out, size_t room,
                               size_t *bytes_out, hr_error *err)
{
    struct libdeflate_compressor *context = libdeflate_alloc_compressor(level ? level : 6);
    if (!context)
        return HR_FAIL(err, HR_NOMEM, "gzip: no memory for a compressor");
    size_t got = libdeflate_gzip_compress(context, in, in_bytes, out, room);
    libdeflate_free_compressor(context);
    if (!got)
        return no_room(err, "gzip", in_bytes, room);
    *bytes_out = got;
    return HR_OK;
}

static size_t gzip_bound(size_t in_bytes)
{
    return libdeflate_gzip_compress_bound(NULL, in_bytes);
}
#else
#define gzip_decompress NULL
#define gzip_compress   NULL
#define gzip_bound      NULL
#endif

// Expansion: snappy's copies give 64 bytes for 3; an lz4 length byte adds 255; deflate gives 258 bytes for 2 bits.
static const codec_row rows[HR_CODEC_COUNT] = {
    [HR_CODEC_NONE] = {"uncompressed", none_decompress, none_compress, none_bound, none_prefix, 1},
    [HR_CODEC_SNAPPY] = {"snappy", snappy_decompress, snappy_compress_, snappy_bound, snappy_prefix,
                         32},
    [HR_CODEC_GZIP] = {"gzip", gzip_decompress, gzip_compress, gzip_bound, NULL, 1040},
    [HR_CODEC_LZO] = {"lzo", NULL, NULL, NULL, NULL, 0},
    [HR_CODEC_BROTLI] = {"brotli", brotli_decompress, brotli_compress, brotli_bound, NULL, 0},
    [HR_CODEC_LZ4] = {"lz4 (hadoop)", lz4_decompress, NULL, NULL, NULL, 256},
    [HR_CODEC_ZSTD] = {"zstd", zstd_decompress, zstd_compress, zstd_bound, zstd_prefix, 0},
    [HR_CODEC_LZ4_RAW] = {"lz4", lz4_raw_decompress, lz4_raw_compress, lz4_bound, lz4_raw_prefix,
                          256},
};

const char *hr__codec_name(int codec)
{
    return codec >= 0 && codec < HR_CODEC_COUNT ? rows[codec].name : "unknown";
}

hr_status hr__codec_check(int codec, hr_error *err)
{
    if (codec < 0 || codec >= HR_CODEC_COUNT)
        return HR_FAIL(err, HR_CORRUPT, "codec %d: the format knows 0 to %d", codec,
                       HR_CODEC_COUNT - 1);
    if (!rows[codec].decompress)
        return HR_FAIL(err, HR_UNSUPPORTED, "codec %s: not in this build", rows[codec].name);
    return HR_OK;
}

bool hr__codec_can_hold(hr_codec codec, uint64_t in_bytes, uint64_t out_bytes)
{
    uint64_t most = 0;
    if (!rows[codec].expansion_max || HR_MUL_OVERFLOWS(in_bytes, rows[codec].expansion_max, &most))
        return true;
    return out_bytes <= most + (codec == HR_CODEC_NONE ? 0 : 64);
}

hr_status hr__codec_decompress(hr_codec codec, const void *in, size_t in_bytes, void *out,
                               size_t out_bytes, hr_error *err)
{
    HR_TRY(hr__codec_check(codec, err));
    return rows[codec].decompress(in, in_bytes, out, out_bytes, err);
}

size_t hr__codec_prefix(hr_codec codec, const void *in, size_t in_bytes, void *out, size_t room)
{
    if (codec < 0 || codec >= HR_CODEC_COUNT || !rows[codec].prefix)
        return 0;
    return rows[codec].prefix(in, in_bytes, out, room);
}

size_t hr__codec_bound(hr_codec codec, size_t in_bytes)
{
    if (codec < 0 || codec >= HR_CODEC_COUNT || !rows[codec].bound)
        return 0;
    return rows[codec].bound(in_bytes);
}

hr_status hr__codec_compress(hr_codec codec, int level, const void *in, size_t in_bytes, void *out,
                             size_t room, size_t *bytes_out, hr_error *err)
{
    HR_TRY(hr__codec_check(codec, err));
    if (!rows[codec].compress)
        return HR_FAIL(err, HR_UNSUPPORTED, "codec %s: it is read, not written", rows[codec].name);
    return rows[codec].compress(level, in, in_bytes, out, room, bytes_out, err);
}
