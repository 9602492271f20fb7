// SPDX-License-Identifier: Apache-2.0
// A connection to one node: its socket, what is on its way, and how fast the node has answered.
//
// DOWN → CONNECTING → (SECURING →) UP → DOWN …; a link that was lost is opened again after a
// back-off with jitter. Where its name has several addresses, one that gives no answer hands over
// to the next. With TLS, what is read and sent passes through core/tls. Never blocks. One thread at
// a time. Times are of the boot clock (ms) and of the monotonic one (ns).
#pragma once

#include <sys/socket.h>

#include "core/base/buf.h"
#include "core/tls/tls_client.h"
#include "proto/binary.h"

#define KR_LINK_SAMPLES 128
#define KR_LINK_NAME_SIZE 300
#define KR_LINK_ADDRESSES_MAX 4
#define KR_LINK_IN_BYTES (KR_BINARY_ANSWER_HEAD + 4 + KR_BINARY_BODY_MAX) // of one key's answer

enum link_state { KR_LINK_DOWN, KR_LINK_CONNECTING, KR_LINK_SECURING, KR_LINK_UP };

struct link_address {
    struct sockaddr_storage place;
    socklen_t size;
};

struct link {
    struct link_address addresses[KR_LINK_ADDRESSES_MAX];
    size_t address_count, address; // how many, and which one is used
    size_t in_vain;                // so many in a row gave no answer, since the latest back-off
    char name[KR_LINK_NAME_SIZE];  // as it was named
    char host[KR_LINK_NAME_SIZE];  // whose certificate is expected
    bool is_tls;
    struct tls_context *tls_context; // of its client; where is_tls
    struct tls *tls;                 // SECURING, and UP with TLS
    struct fault fault;              // why it was lost the last time
    int fd;                          // -1 while DOWN
    enum link_state state;
    uint64_t since_ms;      // CONNECTING, SECURING: when that began
    uint64_t retry_at_ms;   // DOWN: when to connect again
    unsigned failures;      // in a row
    bool is_proven;         // it has answered since it is UP
    bool is_broken;         // found while writing or reading: its owner closes it
    struct buf out, sealed; // what is to be sent; the same as TLS sends it
    size_t sent;            // of what goes over the wire: of sealed with TLS, else of out
    uint8_t *in;
    size_t in_size, in_at;
    unsigned pending;  // answers that are still to come
    uint64_t index;    // the latest that it has answered by; 0: none
    uint64_t heard_ms; // the last byte, or what first became pending
    uint64_t probed_ms;
    uint64_t probe_ns;  // when the probe under way was sent; 0: none is
    bool is_probe_late; // its echo may have lain in the socket
    double smoothed_us; // of round trips; 0: none was measured
    uint32_t samples_us[KR_LINK_SAMPLES];
    unsigned sample_count; // ever
    uint32_t p99_us;       // of the latest samples; 0: too few
};

void link_init(struct link *link);
void link_fini(struct link *link);
// Copies; beyond KR_LINK_ADDRESSES_MAX it is passed over.
void link_add_address(struct link *link, const void *place, socklen_t size);
void link_open(struct link *link, uint64_t now_ms);  // DOWN: begins to connect
void link_close(struct link *link, uint64_t now_ms); // sets when to try again
// CONNECTING, and writable: UP, with TLS SECURING, or broken.
void link_connected(struct link *link, uint64_t now_ms);
bool link_is_up(const struct link *link);
// Asks the node for its news, or with VALIDATE of no key how it stands.
void link_ask(struct link *link, enum binary_op op, uint32_t tag, uint64_t now_ms);
// Something was appended to out that will be answered.
void link_expect(struct link *link, uint64_t now_ms);
// An answer has come that was expected.
void link_heard(struct link *link, uint64_t index);
void link_flush(struct link *link); // sends what the kernel takes
// Once; with TLS it may bring the link UP. False: there was nothing.
bool link_receive(struct link *link, uint64_t now_ms);
// The next whole answer; lent until the next receive. False: none.
bool link_next(struct link *link, struct binary_answer *out);
bool link_wants_write(const struct link *link);
void link_sample(struct link *link, uint64_t took_ns); // a round trip was so long
// For so long nobody has looked at its socket, which is not held against the node.
void link_forgive(struct link *link, uint64_t gap_ms, uint64_t now_ms);
