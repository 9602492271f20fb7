// SPDX-License-Identifier: Apache-2.0
// The cluster's members and leader in the state of fake_state.h, which includes this file.
#pragma once

static inline size_t fake_member(const struct fake *fake, const char *id)
{
    size_t i = 0;
    while (i < fake->member_count && strcmp(fake->members[i].id, id) != 0)
        i++;
    return i;
}

static inline bool fake_get_member(void *ctx, const char *id, struct member *out)
{
    struct fake *fake = ctx;
    size_t at = fake_member(fake, id);
    if (at == fake->member_count)
        return false;
    *out = fake->members[at];
    return true;
}

static inline void fake_put_member(void *ctx, const struct member *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct member copy = *record;
    copy.id = fake_text(fake, record->id);
    copy.region = fake_text(fake, record->region);
    copy.peer_address = fake_text(fake, record->peer_address);
    copy.http_address = fake_text(fake, record->http_address);
    size_t at = fake_member(fake, record->id);
    *FAKE_PLACE(fake->members, fake->member_count, at) = copy;
}

static inline bool fake_get_leader(void *ctx, struct leader *out)
{
    struct fake *fake = ctx;
    *out = fake->leader;
    return out->member_id != NULL;
}

static inline void fake_put_leader(void *ctx, const struct leader *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake->leader = *record;
    fake->leader.member_id = fake_text(fake, record->member_id);
}
