// SPDX-License-Identifier: Apache-2.0
// What a client keeps, and the node whose news keep it honest: its home.
//
// VALID answers that came on the home link, behind whose answers the news come, are kept for as
// long as the lease lasts that it gave, counted from the moment of asking for it.
#include "client/libkeyreeve/client.h"

#include "core/base/clock.h"

enum { KR_LEASE_EVERY_MS = 500 };

// One that has not answered yet comes last: a process that hangs still takes connections. So does
// one whose round trip nobody has measured: a client that asks seldom hears it too late to tell.
size_t client_nearest(const struct keyreeve *client, unsigned excluded)
{
    size_t best = KR_CLIENT_NO_LINK;
    double best_us = 0;
    for (size_t i = 0; i < client->link_count; i++) {
        const struct link *link = &client->links[i];
        double us = link->is_proven && link->smoothed_us > 0 ? link->smoothed_us : 1e12;
        if (!link_is_up(link) || (excluded & 1u << i) != 0)
            continue;
        if (best == KR_CLIENT_NO_LINK || us < best_us) {
            best = i;
            best_us = us;
        }
    }
    return best;
}

void client_leave_home(struct keyreeve *client)
{
    if (client->cache != NULL)
        cache_drop_all(client->cache);
    client->home = KR_CLIENT_NO_LINK;
    client->lease_until_ms = client->lease_asked_ms = 0;
    client->is_lease_asked = false;
}

// The home is the nearest link, and stays so until another is nearer by a third. One that has not
// answered yet is nobody's.
static void choose_home(struct keyreeve *client)
{
    size_t best = client_nearest(client, 0);
    if (best == client->home)
        return;
    if (client->home != KR_CLIENT_NO_LINK && link_is_up(&client->links[client->home]) &&
        client->links[client->home].is_proven &&
        client->links[best].smoothed_us > client->links[client->home].smoothed_us * 2 / 3)
        return;
    client_leave_home(client);
    client->home = best;
}

void client_renew_lease(struct keyreeve *client, uint64_t now_ms)
{
    if (client->cache == NULL)
        return;
    choose_home(client);
    if (client->home == KR_CLIENT_NO_LINK || client->is_lease_asked ||
        (client->lease_asked_ms > 0 && now_ms < client->lease_asked_ms + KR_LEASE_EVERY_MS))
        return;
    client->lease_asked_ms = now_ms;
    client->is_lease_asked = true;
    client->lease_tag = KR_TAG_LEASES | (client->lease_tag + 1) % (1u << 24);
    link_ask(&client->links[client->home], KR_BINARY_SUBSCRIBE, client->lease_tag, now_ms);
}

void client_hear_news(struct keyreeve *client, const struct binary_answer *news)
{
    const uint8_t *at = news->results;
    for (unsigned i = 0; i < news->count; i++)
        cache_drop(client->cache, binary_next_lost(&at).digest);
    if (news->drops_all)
        cache_drop_all(client->cache);
    if (!news->has_lease || news->tag != client->lease_tag)
        return;
    if (clock_boot_ms() >= client->lease_until_ms)
        cache_drop_all(client->cache); // it was kept under one that has run out
    client->lease_until_ms = client->lease_asked_ms + news->lease_ms;
    client->is_lease_asked = false;
}

bool client_has_lease(struct keyreeve *client, uint64_t now_ms)
{
    if (client->cache == NULL || client->home == KR_CLIENT_NO_LINK ||
        !link_is_up(&client->links[client->home]))
        return false;
    if (now_ms < client->lease_until_ms)
        return true;
    cache_drop_all(client->cache);
    return false;
}

void client_keep(struct keyreeve *client, const struct ask *ask, const struct binary_answer *answer,
                 struct bytes body)
{
    struct cache_entry entry = {.until_ms = ask->sent_ms + KR_BINARY_KEEP_MS,
                                .index = answer->index,
                                .age_ms = answer->age_ms};
    digest_sha256(bytes_of(ask->key, ask->key_size), entry.digest);
    cache_put(client->cache, &entry, ask->request.bucket, body);
}

bool client_answer_from_kept(struct keyreeve *client, const struct keyreeve_question *question,
                             struct bytes bucket, keyreeve_done_fn *done, void *ctx)
{
    uint8_t digest[KR_DIGEST_SIZE];
    uint64_t now_ms = clock_boot_ms();
    if (question->max_staleness_ms >= 0 || !client_has_lease(client, now_ms))
        return false;
    digest_sha256(bytes_of(question->key, question->key_size), digest);
    const struct cache_entry *entry = cache_find(client->cache, digest, bucket, now_ms);
    if (entry == NULL || entry->index < question->min_index)
        return false;
    client->figures.cached++;
    done(ctx, &(struct keyreeve_answer){.code = KR_KEYREEVE_VALID,
                                        .body = (const char *)entry->texts + entry->bucket_size,
                                        .body_size = entry->body_size,
                                        .index = entry->index,
                                        .age_ms = entry->age_ms,
                                        .is_cached = true});
    return true;
}
