// SPDX-License-Identifier: Apache-2.0
// HTTP requests to one node, several at a time over kept-alive connections. The home of libcurl.
//
// A call is the caller's memory and one request; http_start sends it without waiting, http_poll
// moves all that are under way, http_run does one and waits. One thread.
#pragma once

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/fault.h"

#define KR_HTTP_ANSWER_MAX ((size_t)64 << 20)

struct http;

struct http_settings {
    const char *token;  // NULL: none is sent
    const char *cacert; // PEM file, or NULL: the system's
    uint64_t timeout_ms;
};

enum http_state { KR_HTTP_IDLE, KR_HTTP_SENT, KR_HTTP_DONE };

struct http_call {
    // what to ask: borrowed until it is done
    const char *method; // "GET", "POST", …
    const char *url;
    struct bytes body;           // application/json; data NULL: none
    const char *idempotency_key; // NULL: none
    void *owner;                 // the caller's, untouched

    // what came of it
    enum http_state state;
    enum kr_err err;    // not OK: no whole answer came; fault says why
    struct fault fault; // never holds the request
    unsigned status;
    struct buf answer;
    uint64_t index;         // Keyreeve-Index, or 0
    unsigned retry_after_s; // Retry-After, or 0
    char request_id[64];    // X-Request-Id, or ""
    void *easy, *fields;    // http.c's
};

// Settings are kept. Gives; http_free clears the pointer and frees what is under way.
struct http *http_new(const struct http_settings *settings);
void http_free(struct http **http);

void http_call_init(struct http_call *call);
// Drops the answer (zeroed); the call must not be under way.
void http_call_fini(struct http_call *call);

// Sends; the call must be idle or done, and is reset. It is done after some http_poll.
void http_start(struct http *http, struct http_call *call);
// Waits at most timeout_ms for something to happen, or for input to become readable (-1: none), and
// moves everything under way.
void http_poll(struct http *http, int input, unsigned timeout_ms);
// Ends a call that is under way without an answer.
void http_cancel(struct http *http, struct http_call *call);

// "a b/c" → "a%20b%2Fc": one segment of a path or one value of a query (RFC 3986 §2.3).
void http_add_encoded(struct buf *out, const char *text);
// An http or https URL with a host, no query, fragment or credentials; gives its host
// (NUL-terminated, cut to size) and whether that is this machine.
must_use enum kr_err http_check_url(const char *url, char *host, size_t size, bool *is_loopback,
                                    struct fault *fault);
