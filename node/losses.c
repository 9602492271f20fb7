// SPDX-License-Identifier: Apache-2.0
// A ring whose slots are overwritten without asking; a reader looks at the end again behind its
// copy, and so knows whether the writer may have come around.
#include "node/losses.h"

#include <stdatomic.h>

#include "core/base/mem.h"

#define KR_LOSSES_SLOTS 4096
#define KR_LOSSES_WORDS (KR_DIGEST_SIZE / 8)

struct losses_slot {
    atomic_uint_fast64_t digest[KR_LOSSES_WORDS];
    atomic_uint_fast64_t revision;
    atomic_bool is_many;
};

struct losses {
    atomic_uint_fast64_t end;
    struct losses_slot slots[KR_LOSSES_SLOTS];
};

struct losses *losses_new(void)
{
    return mem_zalloc(sizeof(struct losses));
}

void losses_free(struct losses **losses)
{
    mem_free(*losses);
    *losses = NULL;
}

void losses_note(struct losses *losses, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision)
{
    uint64_t end = atomic_load(&losses->end);
    struct losses_slot *slot = &losses->slots[end % KR_LOSSES_SLOTS];
    atomic_store(&slot->is_many, digest == NULL);
    atomic_store(&slot->revision, revision);
    for (size_t i = 0; i < KR_LOSSES_WORDS && digest != NULL; i++) {
        uint64_t word;
        memcpy(&word, digest + 8 * i, sizeof(word));
        atomic_store(&slot->digest[i], word);
    }
    atomic_store(&losses->end, end + 1);
}

uint64_t losses_end(const struct losses *losses)
{
    return atomic_load(&losses->end);
}

static bool copy(const struct losses_slot *slot, struct binary_lost *out)
{
    out->revision = atomic_load(&slot->revision);
    for (size_t i = 0; i < KR_LOSSES_WORDS; i++) {
        uint64_t word = atomic_load(&slot->digest[i]);
        memcpy(out->digest + 8 * i, &word, sizeof(word));
    }
    return !atomic_load(&slot->is_many);
}

size_t losses_read(const struct losses *losses, uint64_t *position, struct binary_lost out[],
                   size_t most, bool *drops_all)
{
    uint64_t end = losses_end(losses), from = *position;
    size_t count = 0, used = 0;
    while (from + used < end && used < most) {
        if (copy(&losses->slots[(from + used) % KR_LOSSES_SLOTS], &out[count]))
            count++;
        else
            *drops_all = true;
        used++;
    }
    *position = from + used;
    // The slot of the end is the next to be written, so what lies a whole ring behind is not safe.
    if (losses_end(losses) - from < KR_LOSSES_SLOTS)
        return count;
    *drops_all = true;
    *position = losses_end(losses);
    return 0;
}
