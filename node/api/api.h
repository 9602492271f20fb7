// SPDX-License-Identifier: Apache-2.0
// What every management handler uses: problems, look-ups that answer 404 themselves, ETags, paging,
// body fields, audit rows, and the JSON models.
//
// Functions that return enum kr_err have, on an error, already written the problem+json answer: the
// handler just returns it.
#pragma once

#include "core/keys/rules.h"
#include "node/api/call.h"

#define KR_LABEL_MAX 128 // characters

// --- answers -------------------------------------------------------------------------------------
// Replaces the answer by application/problem+json (RFC 9457) with this detail; returns err.
enum kr_err api_problem(struct call *call, enum kr_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// A problem with a status of its own where the error's is not meant (204-less cases, 202, 428 …).
void api_answer_status(struct call *call, unsigned status);
void api_field(struct call *call, const char *name, const char *value);
// Starts a 200 application/json answer; end checks the sticky error.
void api_json_begin(struct call *call, struct json_writer *writer);
enum kr_err api_json_end(struct call *call, struct json_writer *writer);
// The damage that a view met turns an absence into 500, and that it was given up into 503; handlers
// call it before a 404. OK: neither.
enum kr_err api_check_view(struct call *call);

// --- the resources of the path -------------------------------------------------------------------
enum kr_err api_account(struct call *call); // 404 unless the path's account is ours (name or id)
enum kr_err api_bucket(struct call *call, struct bucket *bucket); // and the token's bucket limits
enum kr_err api_consumer(struct call *call, struct bucket *bucket, struct consumer *consumer);
// The consumer may be KR_ANY_CONSUMER.
enum kr_err api_key(struct call *call, struct bucket *bucket, struct consumer *consumer,
                    struct key *key);
// A live bucket by name or id, of no matter whose; false for the system bucket. No answer.
bool api_find_bucket(struct call *call, const char *name, struct bucket *bucket);
// A live consumer of the bucket by name or id; false when there is none. No answer.
bool api_find_consumer(struct call *call, const struct bucket *bucket, const char *name,
                       struct consumer *consumer);
// The bucket as the resource itself, which tag.NAME=VALUE preconditions of the query are about: 404
// where its tags do not match. Below a bucket they are about the consumer; api_consumer checks
// them.
enum kr_err api_bucket_itself(struct call *call, struct bucket *bucket);
// 404 that names what was asked for, unless it may be a key's value; api_check_view comes first.
enum kr_err api_not_found(struct call *call, const char *what, const char *name);
bool api_tags_match(const struct call *call, const struct tags *tags);
bool api_tags_asked(const struct call *call); // is there any tag.NAME?

// --- query ---------------------------------------------------------------------------------------
const char *api_parameter(const struct call *call, const char *name);           // NULL: absent
enum kr_err api_parameter_bool(struct call *call, const char *name, bool *out); // absent: unchanged
enum kr_err api_parameter_number(struct call *call, const char *name, uint64_t least, uint64_t most,
                                 uint64_t *out);
enum kr_err api_parameter_time(struct call *call, const char *name, int64_t *unix_ms);

struct api_page {
    uint64_t limit, offset;
    const char *after; // decoded cursor, or NULL
};
// limit 1..max (larger is clamped), offset ≥ 0, cursor.
enum kr_err api_page(struct call *call, uint64_t default_limit, uint64_t max,
                     struct api_page *page);
// The cursor of a list by time, which is "MS.REST": where its page begins, whatever is there now.
// 400 when it is none; rest NULL: there is no cursor.
enum kr_err api_page_place(struct call *call, const struct api_page *page, int64_t *at_ms,
                           const char **rest);
enum kr_err api_refuse_cursor(struct call *call); // 400: its REST is none of this list's
// The same of a list of keys: created_ms and id of the key that the page begins behind; id NULL:
// the start.
enum kr_err api_page_key(struct call *call, const struct api_page *page, struct key *after);
const char *api_key_place(struct call *call, const struct key *key); // as its `next`
// The members limit, offset, total of a list, and `cursor` when next (the last name or id shown,
// with more behind it) is not NULL.
void api_write_page(struct json_writer *writer, const struct api_page *page, uint64_t total,
                    const char *next);

enum api_key_format { KR_KEY_NONE, KR_KEY_MASKED, KR_KEY_VISIBLE };
// visible: needs KR_RIGHT_REVEAL, and the bucket must be retrievable (409); marks the call as
// audited.
enum kr_err api_key_format(struct call *call, const struct bucket *bucket,
                           enum api_key_format *format);

// --- concurrency ---------------------------------------------------------------------------------
// ETag of a record; If-Match against it: mismatch is 412.
void api_etag(struct call *call, const char *id, uint64_t version);
enum kr_err api_check_match(struct call *call, const char *id, uint64_t version);

// --- body ----------------------------------------------------------------------------------------
// A member that a body may have: its JSON type and what to do with it.
struct api_member {
    const char *name;
    enum api_member_kind {
        KR_MEMBER_TEXT,     // const char **: UTF-8 ≤ max characters; null → NULL
        KR_MEMBER_BOOL,     // bool *
        KR_MEMBER_NUMBER,   // int64_t *: 0 to max; null → KR_UNBOUNDED
        KR_MEMBER_POSITIVE, // the same, from 1
        KR_MEMBER_TIME,     // int64_t *: ISO 8601; null → 0
        KR_MEMBER_TAGS,     // struct tags *: ≤ max pairs
        KR_MEMBER_METADATA, // const char **: object, ≤ max bytes compact
        KR_MEMBER_TEXTS,    // struct texts *: ≤ max items
        KR_MEMBER_JSON,     // const struct json **: any, the handler looks at it
        KR_MEMBER_FIXED     // no out: given at all, it is 400 "cannot be changed"
    } kind;
    void *out;
    int64_t max;
    bool is_required;
    bool *was_given; // NULL: not asked
};

// Parses call->body as one JSON object (absent body: {}) and takes its members; unknown ones, wrong
// types and sizes are 400 with a detail that names the field.
enum kr_err api_body(struct call *call, const struct api_member *members, size_t count);
// The body as any JSON into call->json (arrays of $bulk); 400 when it is none.
enum kr_err api_parse(struct call *call);
// The members of an object inside; where names it in details ("apiKeys[2]"), "": not at all.
enum kr_err api_members(struct call *call, const struct json *object, const char *where,
                        const struct api_member *members, size_t count);

// --- the change ----------------------------------------------------------------------------------
struct command_op *api_op(struct call *call, enum command_kind kind); // marks has_command
// The audit row of this call; detail is a JSON object text, or NULL.
void api_audit(struct call *call, const char *action, const char *target, const char *target_name,
               const char *detail);
// 403 with this detail, and, where one is due (denials.h), a row access.denied about the target;
// returns FORBIDDEN. Lost: the row was not written.
enum kr_err api_deny(struct call *call, const char *target, const char *target_name,
                     const char *detail);
void api_denied_lost(const struct call *call);
// Denies the route to a limited token: it is about the account or the cluster as a whole.
enum kr_err api_check_unlimited(struct call *call, const char *detail);
const char *api_detail(struct call *call, const char *name, const char *value); // {"name":"value"}
// {"changed":[…]}: the names of the members of the call's body, which have been taken.
const char *api_detail_changed(struct call *call);
// Puts the consumer as it is, so that of two calls that do so at once the second finds it changed,
// and runs again on what the first has made.
void api_one_at_a_time(struct call *call, const struct consumer *consumer);
char *api_new_id(struct call *call, const char *type); // "key_" + 24 base62
// The same for things that one call makes together: lists, which order by time and then by id, keep
// their order.
char **api_new_ids(struct call *call, const char *type, size_t count);

// Puts one key into the command: minted or given (plain or hashed), sealed where the bucket is
// retrievable, and says its value (NULL for a hash), which lives in the call's arena.
struct api_new_key {
    struct key record;             // filled but for digest, masked, id when NULL
    const char *given;             // caller-supplied value, or NULL
    const struct json *given_hash; // keyHash object, or NULL
    bool is_expiry_given;          // an explicit expiresOn, null too: no default expiry
    const char *where;             // "apiKeys[2].", "" at the top, for details
    const char *value;             // out
};
// The settings of a new key from an object that bears only them: description, expiresOn, key,
// keyHash, enabled, notBefore, scopes, ipAllow, tags, metadata. object NULL: the call's body itself
// (absent: all defaults). where names the object in details ("apiKeys[2]"); it becomes
// new_key->where.
enum kr_err api_new_key_members(struct call *call, const struct bucket *bucket,
                                const struct json *object, const char *where,
                                struct api_new_key *new_key);
// The same in parts, for objects that bear more: the defaults; the rows that take the settings into
// *new_key (kept), to which the caller adds its own; the checks of what was taken.
#define KR_NEW_KEY_MEMBERS 10
void api_new_key_defaults(struct api_new_key *new_key);
void api_new_key_table(const struct bucket *bucket, struct api_new_key *new_key,
                       struct api_member members[KR_NEW_KEY_MEMBERS]);
enum kr_err api_new_key_check(struct call *call, struct api_new_key *new_key);
// notBefore must lie before expiresOn, the one that the bucket's default has set too.
enum kr_err api_check_life(struct call *call, const char *where, const struct key *key);
// Replaces CIDR blocks by their canonical texts; 400 names the item. where: as new_key->where.
enum kr_err api_canonical_cidrs(struct call *call, const char *where, struct texts *blocks);
// consumer_id and is_enabled are the caller's to fill; id, bucket_id, created_by, times, metadata
// are filled when unset. 409 when the value is in use in the view; equal values inside one command
// are the caller's to find (apply would refuse the whole).
enum kr_err api_put_new_key(struct call *call, const struct bucket *bucket,
                            struct api_new_key *new_key);

// The body {reason?, confirm} of a revocation; confirm must be `name` when that is not NULL.
enum kr_err api_revoke_body(struct call *call, const char *name, enum revoke_reason *reason);
int64_t api_purge_ms(const struct call *call); // now + the retention period

// --- models --------------------------------------------------------------------------------------
void api_write_stamp(struct json_writer *writer, const char *name, int64_t unix_ms); // null for 0
void api_write_bucket(struct json_writer *writer, const char *name, const struct bucket *bucket);
void api_write_consumer_open(struct json_writer *writer, const struct consumer *consumer);
// value: NULL and format decide what `key` shows.
void api_write_key(struct call *call, struct json_writer *writer, const struct key *key,
                   const struct bucket *bucket, const struct consumer *consumer,
                   enum api_key_format format, const char *value);
// The value of a key that the vault holds, in the call's arena; NULL when it holds none. CORRUPT
// has not been answered yet.
must_use enum kr_err api_open_value(struct call *call, const struct key *key, const char **value);
void api_write_manager(struct json_writer *writer, const struct manager *manager);
