// SPDX-License-Identifier: Apache-2.0
// The vault's rows in the state of fake_state.h, which includes this file.
#pragma once

static inline void fake_put_sealed(void *ctx, const struct sealed *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct sealed copy = *record;
    copy.key_id = fake_text(fake, record->key_id);
    copy.box = fake_bytes(fake, record->box);
    size_t at = fake_sealed(fake, record->key_id);
    *FAKE_PLACE(fake->sealed, fake->sealed_count, at) = copy;
}

static inline void fake_get_sealed_versions(void *ctx, struct sealed_versions *out)
{
    *out = ((struct fake *)ctx)->sealed_versions;
}

static inline void fake_put_sealed_versions(void *ctx, const struct sealed_versions *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake->sealed_versions = *record;
}
