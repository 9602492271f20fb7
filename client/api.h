// SPDX-License-Identifier: Apache-2.0
// The node's HTTP API as the commands see it: paths, one request and its answer, pages of lists.
//
// A request that may be repeated (a read, or a POST, which carries an Idempotency-Key) is sent
// again when the node is too busy or has no leader for the moment. Errors are printed here, with a
// hint.
#pragma once

#include "client/session.h"
#include "core/base/json.h"

// "/a/b c/d" of segments, each encoded, in the session's arena; ends with NULL. With one that is
// empty, "." or ".." nothing is sent from then on.
const char *api_path(struct session *session, ...) __attribute__((sentinel));
// "/v1/accounts/{account}/key-buckets" and what follows.
const char *api_buckets(struct session *session);
const char *api_bucket(struct session *session, const char *bucket);
const char *api_consumer(struct session *session, const char *consumer); // of the session's bucket
const char *api_key(struct session *session, const char *consumer, const char *key_id);
// USAGE, and printed, when a path was to hold such a segment; api_send asks it itself.
must_use enum exit_code api_check_names(struct session *session);
// path with "/tail" behind it, or "?name=value" (or "&…"), encoded. In the session's arena.
const char *api_under(struct session *session, const char *path, const char *tail);
const char *api_with(struct session *session, const char *path, const char *name,
                     const char *value);

struct api_request {
    const char *method, *path;
    struct buf *body;  // finished JSON, or NULL
    const char *label; // what a wait over two seconds shows: "Revoking"; NULL: "Waiting"
    bool is_quiet;     // do not print errors
    bool is_once;      // what is true now is asked: do not repeat it
    bool may_overflow; // do not print that the answer is too large
    bool is_verdict;   // a 503 with a code is the answer that was asked for: OK, sent once
    bool is_probe;     // its answer is text; every other with a body is a JSON object
};

struct api_answer {
    struct json *json; // NULL when the answer has no JSON body
    unsigned status;   // 0: no answer
    bool is_too_large; // beyond KR_HTTP_ANSWER_MAX or what json_parse takes, or 413 to a GET
    uint64_t index;    // Keyreeve-Index
};

// OK for 2xx, and then json is an object, or NULL with 204 and for a probe. The answer is freed by
// api_answer_fini whatever comes back.
must_use enum exit_code api_send(struct session *session, const struct api_request *request,
                                 struct api_answer *answer);
void api_answer_fini(struct api_answer *answer);
// Reads with GET.
must_use enum exit_code api_get(struct session *session, const char *path,
                                struct api_answer *answer);

// Calls each for every item of a list, page after page; stops when each is false or at the limit of
// --limit and --all. total: as the node says, or 0.
typedef bool api_item_fn(void *user, const struct json *item);
struct api_pages {
    const char *path;
    uint64_t page_size; // largest the route allows; shrinks when answers are too large
    uint64_t limit;     // UINT64_MAX: all; 0: the total alone is asked for
    uint64_t offset;
    api_item_fn *each;
    void *user;
    uint64_t shown, total; // out
};
must_use enum exit_code api_list(struct session *session, struct api_pages *pages);

// Texts and numbers of an answer: NULL, 0 or false when they are not there or of another type.
const char *api_text(const struct json *object, const char *name);
int64_t api_number(const struct json *object, const char *name);
bool api_flag(const struct json *object, const char *name);
const struct json *api_array(const struct json *object, const char *name);

// The exit code that stands for an HTTP status.
enum exit_code api_exit_code(unsigned status);
