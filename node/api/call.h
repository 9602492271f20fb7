// SPDX-License-Identifier: Apache-2.0
// One management request on its way: owned copies of what was asked, the answer, the change it
// wants.
//
// Life: a serving loop builds it and checks the token; the control loop limits the rate and hands
// it to a pool thread, where the route's handler reads a consistent view and either answers or also
// fills `command`; the control loop submits the command. When apply refuses it because the state
// moved on meanwhile, the handler runs again on a newer view (see executor.c). So a handler has no
// effects of its own: it may run several times.
// Threading: one thread at a time owns it; no locks. Only is_given_up is set by others meanwhile.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/cidr.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/http/request.h"
#include "core/http/uri.h"
#include "core/keys/command.h"
#include "core/keys/vault.h"
#include "core/store/store.h"
#include "node/access.h"
#include "replication/replica.h"

#define KR_CALL_PARAMETERS_MAX 16
#define KR_CALL_FIELDS_MAX 12

struct call_field {
    const char *name, *value;
};

// What the answer will be. Texts in the call's arena.
struct call_answer {
    unsigned status;
    const char *content_type; // NULL: no body
    struct buf body;          // growing; zeroed when freed
    struct call_field fields[KR_CALL_FIELDS_MAX];
    size_t field_count;
    bool wants_receipt;  // the body becomes the receipt of call->receipt, behind the commit if any
    const char *problem; // detail of the last problem, in the arena; rows of an import report it
    enum kr_err failure; // of a model that could not be written; api_json_end answers it
};

// A revocation whose receipt the answer will be (API §3).
struct call_receipt {
    bool is_everywhere;  // answered when no node can let the keys in any more
    bool is_bodiless;    // complete, it is answered with 204
    uint64_t timeout_ms; // of everywhere, from the commit on
    // How old a node's knowledge may be while it lets these keys in; KR_UNBOUNDED. A node that has
    // not applied the index `bounded_at` may still use the bound before it, `was_bound_ms`.
    const char *bucket_id; // whose bound it is; NULL: it is not there any more
    int64_t bound_ms, was_bound_ms;
    uint64_t bounded_at;
    struct receipt record; // known from the commit on
};

struct route;
struct node;

struct call {
    const struct node *node; // lends its parts that are safe on any thread: config, store, vault
    const struct route *route;
    struct arena arena; // everything below lives here

    // what was asked
    const char *request_id;
    const char *target; // as sent, with the query
    const char *path;   // without it, for problem+json's instance
    const char *account, *bucket_name, *consumer_name, *item; // the route's parameters, or NULL
    struct uri_parameter parameters[KR_CALL_PARAMETERS_MAX];
    size_t parameter_count;
    struct bytes body;
    const char *content_type;    // NULL: none sent
    const char *accept;          // NULL: none sent
    const char *if_match;        // NULL: none sent
    const char *idempotency_key; // NULL: none sent
    const char *client_address;
    struct bytes
        token; // the presented token's value: seals idempotent answers; zeroed with the arena
    struct access actor;
    bool must_check_token;   // where it runs: another node has looked at it, or that was long ago
    int64_t now_ms;          // wall clock when it was accepted
    uint64_t until_ms;       // boot clock: when nobody waits for it any more; 0: not known
    atomic_bool is_given_up; // nobody does: one that only reads ends at its next row

    // while a handler runs
    struct store_view *view;
    struct json *json; // the parsed body, or NULL

    // what came of it
    struct call_answer answer;
    struct call_receipt receipt; // with answer.wants_receipt
    struct command command;      // op_count > 0 or audit set: submit it
    bool has_command;
    // What only the control loop may do, before the command, if there is one: it may replace the
    // answer by a problem, and take the command back. NULL: nothing.
    void (*action)(struct node *node, struct call *call);
    unsigned attempts;
};

// A handler answers through the functions of api.h and returns OK, or returns the error of
// api_problem. Runs on a pool thread with call->view open.
typedef enum kr_err call_handler_fn(struct call *call);
