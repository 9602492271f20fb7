// SPDX-License-Identifier: Apache-2.0
// The list of a consumer's keys: by creation time, page by page, filtered by status.
//
// Without a filter the walk touches only the page, and the total is a counter. Statuses are in no
// index, so a filter walks all of the consumer's keys; they live in a scratch arena, one at a time.
#include "node/api/api.h"
#include "node/api/handlers.h"

enum { KR_LIST_LIMIT = 1000 };

struct listing {
    struct call *call;
    struct bucket bucket;
    struct consumer consumer;
    struct api_page page;
    enum api_key_format format;
    enum key_status status; // when is_filtered
    bool is_filtered, has_more;
    struct json_writer writer;
    struct arena scratch;
    uint64_t total, shown;
    struct key after; // where the page begins; id NULL: at the start
    const char *last; // the place of the key that ends a full page
};

static enum kr_err read_query(struct call *call, struct listing *listing)
{
    enum kr_err err = api_consumer(call, &listing->bucket, &listing->consumer);
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT, &listing->page);
    if (err == KR_ERR_OK)
        err = api_page_key(call, &listing->page, &listing->after);
    const char *status = api_parameter(call, "status");
    listing->is_filtered = status != NULL;
    if (err == KR_ERR_OK && status != NULL && !key_status_parse(status, &listing->status))
        err = api_problem(call, KR_ERR_INVALID,
                          "parameter status: active, expiring, expired, revoked or disabled");
    if (err == KR_ERR_OK)
        err = api_key_format(call, &listing->bucket, &listing->format);
    return err;
}

static void show(struct listing *listing, const struct key *key)
{
    api_write_key(listing->call, &listing->writer, key, &listing->bucket, &listing->consumer,
                  listing->format, NULL);
    listing->shown++;
    if (listing->shown == listing->page.limit)
        listing->last = api_key_place(listing->call, key);
}

static bool has_room(const struct listing *listing)
{
    return listing->shown < listing->page.limit && !listing->call->answer.body.has_failed;
}

static void walk_page(struct listing *listing)
{
    struct store_view *view = listing->call->view;
    struct key key;
    struct store_cursor *cursor = store_keys(view, listing->consumer.id, &listing->after);
    store_cursor_skip(cursor, listing->page.offset);
    while (has_room(listing) && store_next_key(cursor, &listing->scratch, &key)) {
        show(listing, &key);
        arena_reset(&listing->scratch);
    }
    listing->has_more = store_cursor_skip(cursor, 1) == 1;
    store_cursor_close(&cursor);
    listing->total = store_get_count(view, 'k', listing->consumer.id);
}

static bool is_behind(const struct key *key, const struct key *after)
{
    return after->id == NULL || key->created_ms > after->created_ms ||
           (key->created_ms == after->created_ms && strcmp(key->id, after->id) > 0);
}

static void walk_filtered(struct listing *listing)
{
    struct call *call = listing->call;
    struct key key;
    uint64_t behind = 0;
    struct store_cursor *cursor = store_keys(call->view, listing->consumer.id, NULL);
    for (; store_next_key(cursor, &listing->scratch, &key); arena_reset(&listing->scratch)) {
        if (key_status_of(&key, &listing->consumer, &listing->bucket, call->now_ms) !=
            listing->status)
            continue;
        listing->total++;
        if (!is_behind(&key, &listing->after))
            continue;
        behind++;
        if (behind > listing->page.offset && has_room(listing))
            show(listing, &key);
    }
    listing->has_more = behind > listing->page.offset + listing->shown;
    store_cursor_close(&cursor);
}

enum kr_err api_key_list(struct call *call)
{
    struct listing listing = {.call = call};
    enum kr_err err = read_query(call, &listing);
    if (err != KR_ERR_OK)
        return err;
    arena_init(&listing.scratch);
    api_json_begin(call, &listing.writer);
    json_open(&listing.writer, NULL, '{');
    json_open(&listing.writer, "data", '[');
    if (listing.is_filtered)
        walk_filtered(&listing);
    else
        walk_page(&listing);
    json_close(&listing.writer, ']');
    api_write_page(&listing.writer, &listing.page, listing.total,
                   listing.has_more ? listing.last : NULL);
    json_close(&listing.writer, '}');
    arena_fini(&listing.scratch);
    if (listing.format == KR_KEY_VISIBLE)
        api_field(call, "Cache-Control", "no-store");
    return api_json_end(call, &listing.writer);
}
