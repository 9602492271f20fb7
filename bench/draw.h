// SPDX-License-Identifier: Apache-2.0
// Deterministic chance: a splitmix64 stream, uniform and Zipf draws, and keys minted from a seed.
#pragma once

#include <stdint.h>

#include "core/keys/format.h"

struct draw {
    uint64_t state;
};

uint64_t draw_u64(struct draw *draw);                   // splitmix64 (Steele et al., 2014)
double draw_unit(struct draw *draw);                    // [0, 1)
uint64_t draw_below(struct draw *draw, uint64_t bound); // [0, bound)

// Ranks 0..count-1 with P(k) ∝ 1/(k+1)^exponent, by rejection-inversion (Hörmann and Derflinger,
// 1996): constant time and memory. exponent > 0.
struct zipf {
    uint64_t count;
    double exponent, low, high, cut;
};

void zipf_init(struct zipf *zipf, uint64_t count, double exponent);
uint64_t zipf_draw(const struct zipf *zipf, struct draw *draw);

// The number-th key of a seed: well-formed, the same on every machine.
void draw_key(uint64_t seed, uint64_t number, const char *prefix, char out[KR_KEY_MINTED_SIZE]);
