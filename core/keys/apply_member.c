// SPDX-License-Identifier: Apache-2.0
// Operations on the cluster's members, and the record of who leads.
#include "core/keys/apply_internal.h"

static bool get_live(const struct apply *apply, const char *id, struct member *out)
{
    return apply->state->get_member(apply->state->ctx, id, out) && !out->is_removed;
}

static bool is_sound(const struct member *member)
{
    return model_is_member_name(member->id) && model_is_member_name(member->region) &&
           model_is_member_address(member->peer_address) &&
           model_is_member_address(member->http_address);
}

// New, or known with other addresses. One that was removed stays so.
enum apply_code apply_member_put(struct apply *apply, const struct member *put)
{
    const struct apply_state *state = apply->state;
    struct member stored, record = *put;
    if (!is_sound(put))
        return KR_APPLY_REFUSED;
    if (state->get_member(state->ctx, put->id, &stored)) {
        if (stored.is_removed)
            return KR_APPLY_REFUSED;
        record.added_ms = stored.added_ms;
    }
    record.is_removed = false;
    record.revision = apply->entry->index;
    state->put_member(state->ctx, &record);
    return KR_APPLY_OK;
}

enum apply_code apply_member_remove(struct apply *apply, const struct command_member_remove *target)
{
    const struct apply_state *state = apply->state;
    struct member record;
    struct leader leader;
    if (!get_live(apply, target->id, &record))
        return KR_APPLY_MISSING;
    if (state->get_leader(state->ctx, &leader) && !apply_differs(target->id, leader.member_id))
        return KR_APPLY_REFUSED;
    record.is_removed = true;
    record.revision = apply->entry->index;
    state->put_member(state->ctx, &record);
    return KR_APPLY_OK;
}

// A LEAD that was put together under an earlier leadership must not take effect in a later one.
enum apply_code apply_lead(struct apply *apply, const struct command_lead *lead)
{
    const struct apply_state *state = apply->state;
    struct member member;
    struct leader stored;
    if (!get_live(apply, lead->member_id, &member))
        return KR_APPLY_MISSING;
    if (lead->epoch != apply->entry->epoch)
        return KR_APPLY_REFUSED;
    if (state->get_leader(state->ctx, &stored) && lead->epoch <= stored.epoch)
        return KR_APPLY_STALE;
    struct leader record = {.member_id = lead->member_id,
                            .epoch = lead->epoch,
                            .since_ms = apply->at_ms,
                            .revision = apply->entry->index};
    state->put_leader(state->ctx, &record);
    return KR_APPLY_OK;
}
