// SPDX-License-Identifier: Apache-2.0
#include "plan/order.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

typedef struct dealt {
    size_t first, count; // of its units, in `units`
    int64_t rows;
} dealt;

typedef struct phase {
    int64_t round;      // it begins with
    int64_t at, shares; // of each lane, in `numbers`
} phase;

struct hr_order {
    int32_t lane_count;
    dealt *lanes;
    size_t *units;   // lane by lane, each in its order
    int64_t *begins; // of each of them: the lane's row
    phase *phases;
    int32_t phase_count; // the last one holds no round: where all lanes have ended
    int64_t *numbers;
};

static const int64_t *at_of(const hr_order *o, int32_t p)
{
    return o->numbers + o->phases[p].at;
}

static const int64_t *shares_of(const hr_order *o, int32_t p)
{
    return o->numbers + o->phases[p].shares;
}

// --- dealing ---

static int32_t shortest(const hr_order *o)
{
    int32_t best = 0;
    for (int32_t i = 1; i < o->lane_count; i++)
        if (o->lanes[i].rows < o->lanes[best].rows)
            best = i;
    return best;
}

static void deal(hr_order *o, const int64_t *unit_rows, size_t count, int32_t *lane_of)
{
    size_t first = 0;
    for (size_t u = 0; u < count; u++) {
        lane_of[u] = shortest(o);
        o->lanes[lane_of[u]].rows += unit_rows[u];
        o->lanes[lane_of[u]].count++;
    }
    for (int32_t i = 0; i < o->lane_count; i++) {
        o->lanes[i].first = first;
        first += o->lanes[i].count;
        o->lanes[i].rows = 0;
        o->lanes[i].count = 0;
    }
    for (size_t u = 0; u < count; u++) {
        dealt *l = &o->lanes[lane_of[u]];
        o->units[l->first + l->count] = u;
        o->begins[l->first + l->count++] = l->rows;
        l->rows += unit_rows[u];
    }
}

// --- phases ---

// Rounds until the first lane of the phase ends.
static int64_t phase_rounds(const hr_order *o, int32_t p)
{
    int64_t rounds = INT64_MAX;
    for (int32_t i = 0; i < o->lane_count; i++) {
        int64_t share = shares_of(o, p)[i], left = o->lanes[i].rows - at_of(o, p)[i];
        if (share)
            rounds = HR_MIN(rounds, left / share + (left % share != 0));
    }
    return rounds;
}

static void make_phases(hr_order *o, int64_t window_rows)
{
    int64_t stride = 2 * (int64_t)o->lane_count;
    for (int32_t p = 0;; p++) {
        phase *now = &o->phases[p];
        int64_t *at = o->numbers + p * stride, *shares = at + o->lane_count, open = 0, number = 0;
        *now = (phase){.at = p * stride, .shares = p * stride + o->lane_count};
        if (p > 0) {
            int64_t rounds = phase_rounds(o, p - 1);
            now->round = o->phases[p - 1].round + rounds;
            for (int32_t i = 0; i < o->lane_count; i++) {
                int64_t before = at_of(o, p - 1)[i], share = shares_of(o, p - 1)[i];
                bool ends = share && rounds > (o->lanes[i].rows - before - 1) / share;
                at[i] = ends ? o->lanes[i].rows : before + rounds * share;
            }
        }
        o->phase_count = p + 1;
        for (int32_t i = 0; i < o->lane_count; i++)
            open += at[i] < o->lanes[i].rows;
        if (open == 0)
            return;
        for (int32_t i = 0; i < o->lane_count; i++) {
            if (at[i] == o->lanes[i].rows)
                continue;
            shares[i] = window_rows * (number + 1) / open - window_rows * number / open;
            number++;
        }
    }
}

hr_status hr__order_open(const int64_t *unit_rows, size_t count, int64_t lanes, int64_t window_rows,
                         hr_order **out, hr_error *err)
{
    hr_order *o = NULL;
    int32_t *lane_of = NULL;
    hr_status status;
    HR_ASSERT(lanes >= 1 && lanes <= HR_ORDER_LANES_MAX && window_rows >= 1);
    HR_TRY(hr__alloc_zero(1, sizeof *o, &o, err));
    o->lane_count = (int32_t)HR_MIN(lanes, window_rows);
    o->lane_count = (int32_t)HR_MIN((size_t)o->lane_count, HR_MAX(count, 1));
    size_t n = (size_t)o->lane_count;
    HR_GO(hr__alloc_zero(n, sizeof *o->lanes, &o->lanes, err));
    HR_GO(hr__alloc_zero(HR_MAX(count, 1), sizeof *o->units, &o->units, err));
    HR_GO(hr__alloc_zero(HR_MAX(count, 1), sizeof *o->begins, &o->begins, err));
    HR_GO(hr__alloc_zero(n + 1, sizeof *o->phases, &o->phases, err));
    HR_GO(hr__alloc_zero(2 * n * (n + 1), sizeof *o->numbers, &o->numbers, err));
    HR_GO(hr__alloc_zero(HR_MAX(count, 1), sizeof *lane_of, &lane_of, err));
    deal(o, unit_rows, count, lane_of);
    make_phases(o, window_rows);
    *out = o;
    o = NULL;
out:
    hr__free(lane_of);
    hr__order_close(&o);
    return status;
}

void hr__order_close(hr_order **order)
{
    hr_order *o = *order;
    *order = NULL;
    if (!o)
        return;
    hr__free(o->numbers);
    hr__free(o->phases);
    hr__free(o->begins);
    hr__free(o->units);
    hr__free(o->lanes);
    hr__free(o);
}

// --- questions ---

int32_t hr__order_lanes(const hr_order *o)
{
    return o->lane_count;
}

int64_t hr__order_rounds(const hr_order *o)
{
    return o->phases[o->phase_count - 1].round;
}

int64_t hr__order_lane_rows(const hr_order *o, int32_t lane)
{
    return o->lanes[lane].rows;
}

static int32_t phase_of(const hr_order *o, int64_t round)
{
    int32_t p = o->phase_count - 1;
    while (p > 0 && o->phases[p].round > round)
        p--;
    return p;
}

int64_t hr__order_begin(const hr_order *o, int64_t round, int32_t lane)
{
    int32_t p = phase_of(o, round);
    int64_t at = at_of(o, p)[lane], share = shares_of(o, p)[lane];
    int64_t rounds = round - o->phases[p].round, left = o->lanes[lane].rows - at;
    return share == 0 || rounds > left / share ? o->lanes[lane].rows : at + rounds * share;
}

int64_t hr__order_round_of(const hr_order *o, int32_t lane, int64_t row)
{
    int32_t p = o->phase_count - 1;
    while (p > 0 && (at_of(o, p)[lane] > row || shares_of(o, p)[lane] == 0))
        p--;
    return o->phases[p].round + (row - at_of(o, p)[lane]) / shares_of(o, p)[lane];
}

size_t hr__order_unit(const hr_order *o, int32_t lane, int64_t row, int64_t *begin_out)
{
    size_t low = o->lanes[lane].first, high = low + o->lanes[lane].count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (o->begins[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    *begin_out = o->begins[low];
    return o->units[low];
}

int64_t hr__order_rows_before(const hr_order *o, int64_t round)
{
    int64_t rows = 0;
    for (int32_t i = 0; i < o->lane_count; i++)
        rows += hr__order_begin(o, round, i);
    return rows;
}

void hr__order_permute(uint64_t seed, uint64_t epoch, int64_t round, uint32_t *out, uint32_t count)
{
    uint64_t key[2] = {epoch, (uint64_t)round};
    hr__rng_permute(seed, hr__rng_stream(HR_RNG_WINDOW, hr__hash64(key, sizeof key, 0) >> 8), out,
                    count);
}
