// SPDX-License-Identifier: Apache-2.0
// Deterministic chance.
#include "bench/draw.h"

#include <math.h>

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t draw_u64(struct draw *draw)
{
    draw->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(draw->state);
}

double draw_unit(struct draw *draw)
{
    return (double)(draw_u64(draw) >> 11) * 0x1p-53;
}

// Lemire's multiplication; its bias of bound / 2^64 is far below what a measurement can see.
uint64_t draw_below(struct draw *draw, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)draw_u64(draw) * bound) >> 64);
}

// The integral of x^-exponent, and its inverse; expm1 and log1p keep them exact near exponent 1.
static double integral(double x, double exponent)
{
    double log_x = log(x), t = (1 - exponent) * log_x;
    return log_x * (fabs(t) > 1e-8 ? expm1(t) / t : 1 + t / 2 * (1 + t / 3));
}

static double inverse(double y, double exponent)
{
    double t = y * (1 - exponent);
    if (t < -1)
        t = -1;
    return exp(y * (fabs(t) > 1e-8 ? log1p(t) / t : 1 - t / 2 + t * t / 3));
}

void zipf_init(struct zipf *zipf, uint64_t count, double exponent)
{
    zipf->count = count;
    zipf->exponent = exponent;
    zipf->low = integral(1.5, exponent) - 1;
    zipf->high = integral((double)count + 0.5, exponent);
    zipf->cut = 2 - inverse(integral(2.5, exponent) - pow(2, -exponent), exponent);
}

uint64_t zipf_draw(const struct zipf *zipf, struct draw *draw)
{
    for (;;) {
        double u = zipf->high + draw_unit(draw) * (zipf->low - zipf->high);
        double x = inverse(u, zipf->exponent);
        double k = floor(x + 0.5);
        if (k < 1)
            k = 1;
        if (k > (double)zipf->count)
            k = (double)zipf->count;
        if (k - x <= zipf->cut ||
            u >= integral(k + 0.5, zipf->exponent) - exp(-zipf->exponent * log(k)))
            return (uint64_t)k - 1;
    }
}

// Ten six-bit candidates a draw, those beyond the alphabet thrown away.
static void draw_body(struct draw *draw, char body[KR_KEY_BODY_SIZE])
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t size = 0;
    while (size < KR_KEY_BODY_SIZE) {
        uint64_t bits = draw_u64(draw);
        for (unsigned i = 0; i < 10 && size < KR_KEY_BODY_SIZE; i++, bits >>= 6)
            if ((bits & 63) < 62)
                body[size++] = alphabet[bits & 63];
    }
}

void draw_key(uint64_t seed, uint64_t number, const char *prefix, char out[KR_KEY_MINTED_SIZE])
{
    char body[KR_KEY_BODY_SIZE];
    struct draw draw = {mix(seed) ^ mix(number * 2 + 1)};
    draw_body(&draw, body);
    format_mint(prefix, body, out);
}
