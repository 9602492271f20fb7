// SPDX-License-Identifier: Apache-2.0
// The list of a bucket's consumers: by name, page by page, filtered by prefix, tags and manager.
//
// Without a filter the walk touches only the page, and the total is a counter. Tags and managers
// are in no index, so a filter walks the bucket; its rows live in a scratch arena, one at a time.
#include "node/api/consumer_parts.h"
#include "node/api/handlers.h"

enum { KR_LIST_LIMIT = 1000 };

struct listing {
    struct call *call;
    struct bucket bucket;
    struct consumer_parts parts;
    struct api_page page;
    const char *prefix, *manager_email; // NULL: any
    struct json_writer writer;
    struct arena scratch;
    uint64_t total, shown;
    const char *last; // name shown last
    bool has_more;
};

static enum kr_err read_query(struct call *call, struct listing *listing)
{
    enum kr_err err = api_bucket(call, &listing->bucket);
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT, &listing->page);
    if (err == KR_ERR_OK)
        err = consumer_parts_read(call, &listing->bucket, &listing->parts);
    listing->prefix = api_parameter(call, "q");
    listing->manager_email = api_parameter(call, "manager-email");
    if (listing->prefix != NULL && listing->prefix[0] == '\0')
        listing->prefix = NULL;
    if (err == KR_ERR_OK && listing->prefix != NULL && !model_is_consumer_prefix(listing->prefix))
        err = api_problem(call, KR_ERR_INVALID,
                          "parameter q: must be the beginning of a consumer's name");
    return err;
}

static void show(struct listing *listing, const struct consumer *consumer)
{
    consumer_parts_write(listing->call, &listing->writer, &listing->bucket, consumer,
                         &listing->parts, &listing->scratch);
    listing->shown++;
    if (listing->shown == listing->page.limit)
        listing->last = arena_text(&listing->call->arena, consumer->name);
}

static bool has_room(const struct listing *listing)
{
    return listing->shown < listing->page.limit && !listing->call->answer.body.has_failed;
}

static struct store_cursor *open_all(const struct listing *listing, const char *after)
{
    return store_consumers(listing->call->view, listing->bucket.id, listing->prefix, after);
}

static void walk_page(struct listing *listing)
{
    struct consumer consumer;
    struct store_cursor *cursor = open_all(listing, listing->page.after);
    store_cursor_skip(cursor, listing->page.offset);
    while (has_room(listing) && store_next_consumer(cursor, &listing->scratch, &consumer)) {
        show(listing, &consumer);
        arena_reset(&listing->scratch);
    }
    listing->has_more = store_cursor_skip(cursor, 1) == 1;
    store_cursor_close(&cursor);
    if (listing->prefix == NULL) {
        listing->total = store_get_count(listing->call->view, 'c', listing->bucket.id);
        return;
    }
    cursor = open_all(listing, NULL);
    listing->total = store_cursor_skip(cursor, UINT64_MAX);
    store_cursor_close(&cursor);
}

static bool matches(struct listing *listing, const struct consumer *consumer)
{
    struct manager manager;
    return api_tags_match(listing->call, &consumer->tags) &&
           (listing->manager_email == NULL ||
            consumer_has_manager(listing->call, consumer->id, listing->manager_email,
                                 &listing->scratch, &manager));
}

static void walk_filtered(struct listing *listing)
{
    const struct api_page *page = &listing->page;
    struct consumer consumer;
    uint64_t behind = 0;
    struct store_cursor *cursor = open_all(listing, NULL);
    while (store_next_consumer(cursor, &listing->scratch, &consumer)) {
        if (matches(listing, &consumer)) {
            listing->total++;
            bool is_behind = page->after == NULL || strcmp(consumer.name, page->after) > 0;
            behind += is_behind;
            if (is_behind && behind > page->offset && has_room(listing))
                show(listing, &consumer);
        }
        arena_reset(&listing->scratch);
    }
    listing->has_more = behind > page->offset + listing->shown;
    store_cursor_close(&cursor);
}

enum kr_err api_consumer_list(struct call *call)
{
    struct listing listing = {.call = call};
    enum kr_err err = read_query(call, &listing);
    if (err != KR_ERR_OK)
        return err;
    arena_init(&listing.scratch);
    api_json_begin(call, &listing.writer);
    json_open(&listing.writer, NULL, '{');
    json_open(&listing.writer, "data", '[');
    if (listing.manager_email != NULL || api_tags_asked(call))
        walk_filtered(&listing);
    else
        walk_page(&listing);
    json_close(&listing.writer, ']');
    api_write_page(&listing.writer, &listing.page, listing.total,
                   listing.has_more ? listing.last : NULL);
    json_close(&listing.writer, '}');
    arena_fini(&listing.scratch);
    return api_json_end(call, &listing.writer);
}
