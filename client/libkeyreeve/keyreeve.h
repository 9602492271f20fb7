// SPDX-License-Identifier: Apache-2.0
// libkeyreeve: asks Keyreeve's nodes whether an API key is good, over the binary protocol.
//
// A client knows several nodes, asks the nearest one that answers, asks a second one when the first
// is late, and goes on with the others when one is gone. A client is used by one thread at a time,
// and by the process that has opened it: behind a fork the child may only close it (where a libuv
// loop runs it, behind uv_loop_fork, for the loop is the parent's until then).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KR_KEYREEVE_API __attribute__((visibility("default")))
#define KR_KEYREEVE_NODES_MAX 16
#define KR_KEYREEVE_OUTSTANDING_MAX 1024 // questions under way at once
#define KR_KEYREEVE_KEY_MAX 512          // bytes; a longer key is MALFORMED without being asked

// What the nodes say of a key; the numbers are those on the wire.
enum keyreeve_code {
    KR_KEYREEVE_VALID = 1,
    KR_KEYREEVE_MALFORMED = 2,
    KR_KEYREEVE_NOT_FOUND = 3,
    KR_KEYREEVE_REVOKED = 4,
    KR_KEYREEVE_DISABLED = 5,
    KR_KEYREEVE_EXPIRED = 6,
    KR_KEYREEVE_NOT_YET_VALID = 7,
    KR_KEYREEVE_FORBIDDEN = 8,
    KR_KEYREEVE_INSUFFICIENT_SCOPE = 9,
    KR_KEYREEVE_RATE_LIMITED = 10,
    KR_KEYREEVE_QUOTA_EXCEEDED = 11,
    KR_KEYREEVE_STALE = 12,      // no node that was reached could tell: its knowledge is too old
    KR_KEYREEVE_UNAVAILABLE = 13 // no node could be reached in time, or none could tell
};

// What a call may fail with; it then has changed nothing, and calls nothing back.
enum keyreeve_error {
    KR_KEYREEVE_OK = 0,
    KR_KEYREEVE_INVALID = -1, // an option or a question breaks a limit, the client is closing, or
                              // another process has opened it
    KR_KEYREEVE_UNKNOWN = -2, // a node's name cannot be resolved
    KR_KEYREEVE_BUSY = -3,    // KR_KEYREEVE_OUTSTANDING_MAX are under way
    KR_KEYREEVE_UNUSABLE = -4 // a certificate, a key or a CA's file cannot be read or used
};

struct keyreeve_options {
    const char *nodes;      // "HOST:PORT,tls://HOST:PORT,unix:/PATH", KR_KEYREEVE_NODES_MAX at most
    unsigned timeout_ms;    // of a question, all nodes included; 0: 1000
    unsigned cache_entries; // VALID answers that may be kept, under a node's lease; 0: none
    // With tls://, PEM files that are read once:
    const char *ca_file;     // who signs the nodes' certificates; NULL: whom the system trusts
    const char *server_name; // the name that they carry, 1 to 255 bytes; NULL: each node's own HOST
    const char *cert_file;   // the certificate that this client shows; NULL: none
    const char *key_file;    // its key (0600)
    char *why;               // takes a sentence when keyreeve_open fails; NULL: it is not wanted
    size_t why_size;
};

// Fill it in with max_staleness_ms = -1: a zero is no default there, as it is elsewhere, but the
// strictest bound of all, which only the leader can meet and which nothing that is kept does.
struct keyreeve_question {
    const char *key; // as the caller presented it
    size_t key_size;
    const char *bucket;       // name or id, 1 to 255 bytes; NULL: any
    uint64_t min_index;       // the answer must reflect this log index; 0: any. It is held back
                              // until a node has shown that index, and STALE when none has in 1 s
    int64_t max_staleness_ms; // how old the node's knowledge may be; < 0: as its bucket allows;
                              // 0: not at all
};

struct keyreeve_answer {
    enum keyreeve_code code;
    const char *body; // of a VALID key `"sub":…,"data":…,"consumer":…`, UTF-8, no NUL; else empty
    size_t body_size;
    uint64_t index;  // log index that it reflects
    uint32_t age_ms; // how long ago that was known to be current
    bool is_cached;  // was kept from an earlier answer
};

struct keyreeve; // a client; opaque

// Gives; resolves names (which may block) and connects in the background. Names are resolved here
// alone: a client whose nodes have got other addresses is to be opened again. Borrows the options.
// INVALID, UNKNOWN, UNUSABLE.
KR_KEYREEVE_API enum keyreeve_error keyreeve_open(const struct keyreeve_options *options,
                                                  struct keyreeve **out);
// Ends all connections and clears *client. Questions under way are answered UNAVAILABLE first; what
// is asked from there is INVALID.
KR_KEYREEVE_API void keyreeve_close(struct keyreeve **client);

// Asks and waits, at most timeout_ms. The body is lent until the next call with this client.
// INVALID, BUSY. Not for a client that is attached to a loop.
KR_KEYREEVE_API enum keyreeve_error keyreeve_verify(struct keyreeve *client,
                                                    const struct keyreeve_question *question,
                                                    struct keyreeve_answer *answer);

// The answer and its body are lent for the call. It may ask again, with keyreeve_ask, but neither
// wait for answers nor close the client.
typedef void keyreeve_done_fn(void *ctx, const struct keyreeve_answer *answer);

// Asks, and calls done exactly once: at once where the answer is known without asking, else from
// keyreeve_run, keyreeve_verify, keyreeve_close or the loop. What is asked from inside an answer at
// once is not answered at once, so each answer may ask the next. Borrows the question. INVALID,
// BUSY.
KR_KEYREEVE_API enum keyreeve_error keyreeve_ask(struct keyreeve *client,
                                                 const struct keyreeve_question *question,
                                                 keyreeve_done_fn *done, void *ctx);
// Waits until something has happened, or so many ms (0: does not wait; it may return sooner), and
// deals with it. Returns how many questions are still under way.
KR_KEYREEVE_API size_t keyreeve_run(struct keyreeve *client, unsigned wait_ms);

// Lets a libuv loop run the client. Keeps the loop; the client may be closed on the loop's thread
// only, and its handles are gone after the loop's next turn. Returns a libuv error (< 0) or 0.
struct uv_loop_s;
KR_KEYREEVE_API int keyreeve_attach(struct keyreeve *client, struct uv_loop_s *loop);

struct keyreeve_figures {
    uint64_t asked, cached, hedged, failed_over, timed_out, reconnected;
    unsigned nodes, nodes_up;
};
KR_KEYREEVE_API void keyreeve_figures(const struct keyreeve *client, struct keyreeve_figures *out);
// Why a connection to a node failed or was lost, the latest time; "" when none was. Lent until the
// next call with this client.
KR_KEYREEVE_API const char *keyreeve_why(const struct keyreeve *client);
KR_KEYREEVE_API const char *keyreeve_code_text(enum keyreeve_code code); // "VALID", …

#ifdef __cplusplus
}
#endif
