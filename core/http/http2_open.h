// SPDX-License-Identifier: Apache-2.0
// The open streams of an HTTP/2 connection: which there are, which wait to be taken and in what
// order, what of their answers is not sent, and who keeps us waiting. For core/http/http2.c alone.
//
// Embedded. One thread.
#pragma once

#include "core/http/http2_stream.h"

enum { KR_HTTP2_OPEN_STEP = 16384 }; // bytes of an answer that count as progress

struct http2_open {
    struct http2_streams *pool;
    struct http_pool *memory;
    struct http2_stream *streams;            // all
    size_t count;                            // of them
    size_t lent;                             // LENT
    struct http2_stream *whole, *last_whole; // those that wait to be taken
    size_t unsent;                           // bytes of answers
    uint64_t sent;                           // bytes of answers, ever
};

// Keeps both.
void http2_open_init(struct http2_open *open, struct http2_streams *pool, struct http_pool *memory);
void http2_open_fini(struct http2_open *open);
// In HEAD. Lends until it is dropped. NULL: there are too many, or there is no room.
struct http2_stream *http2_open_add(struct http2_open *open, int32_t id);
void http2_open_drop(struct http2_open *open, struct http2_stream *stream);
// Before its fields, and its content, are so large (fields as RFC 9113 §6.5.2 counts them). False:
// there is no room.
bool http2_open_reserve_head(struct http2_open *open, struct http2_stream *stream, size_t size);
bool http2_open_reserve_body(struct http2_open *open, struct http2_stream *stream, size_t size);

// It is WHOLE: behind all that wait.
void http2_open_enqueue(struct http2_open *open, struct http2_stream *stream);
// The first that waits and is not put off; NULL: there is none.
struct http2_stream *http2_open_first(const struct http2_open *open);
// It was the first: it is LENT.
void http2_open_lend(struct http2_open *open, struct http2_stream *stream);
// It is WHOLE again, behind all that wait, and put off; kind: as the caller counts, not 0.
void http2_open_put_off(struct http2_open *open, struct http2_stream *stream, uint8_t kind);
// The first of the kind that was put off is so no longer; if it is dropped before it is lent, the
// next one.
void http2_open_recall(struct http2_open *open, uint8_t kind);

// Its answer stands in it, to be sent up to its trailers.
void http2_open_owe(struct http2_open *open, struct http2_stream *stream);
void http2_open_pay(struct http2_open *open, struct http2_stream *stream, size_t size);
// Does a request that is whole still wait for its answer, or the answer for its way?
bool http2_open_owes(const struct http2_open *open);
// Has its peer kept it waiting for patience_ms, with the rest of a request or with room for its
// answer? An answer that has a window may stand behind others, and waits while those move. With
// patience 0, its time begins anew.
bool http2_open_is_late(struct http2_open *open, struct http2_stream *stream, bool has_window,
                        uint64_t now_ms, uint64_t patience_ms);
