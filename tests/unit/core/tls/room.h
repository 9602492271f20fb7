// SPDX-License-Identifier: Apache-2.0
// What the tests of connections start from: two CAs, and the contexts of two nodes of the first.
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/core/tls/pair.h"

struct room {
    struct authority *authority, *other;
    struct buf certificate, other_certificate; // the CAs'
    struct tls_context *context;               // of node "n1"
    struct tls_context *context2;              // of node "n2"
};

static inline struct tls_context *context_of(const struct authority *authority, const char *node_id,
                                             int from_days, int to_days)
{
    struct buf bundle;
    buf_init(&bundle, BUNDLE_MAX);
    issue(authority, node_id, from_days, to_days, &bundle);
    struct tls_context *context = peer_context(buf_bytes(&bundle));
    buf_fini(&bundle);
    return context;
}

static inline int make_room(void **state)
{
    static struct room room;
    rand_init();
    buf_init(&room.certificate, BUNDLE_MAX);
    buf_init(&room.other_certificate, BUNDLE_MAX);
    room.authority = make_authority(CLUSTER, &room.certificate);
    room.other = make_authority(OTHER_CLUSTER, &room.other_certificate);
    room.context = context_of(room.authority, "n1", -1, 30);
    room.context2 = context_of(room.authority, "n2", -1, 30);
    *state = &room;
    return 0;
}

static inline int free_room(void **state)
{
    struct room *room = *state;
    tls_context_free(&room->context);
    tls_context_free(&room->context2);
    authority_close(&room->authority);
    authority_close(&room->other);
    buf_fini(&room->certificate);
    buf_fini(&room->other_certificate);
    return 0;
}

static inline void assert_failed(const struct tls *tls, enum kr_err err, const char *part)
{
    assert_int_equal(tls_state(tls), KR_TLS_FAILED);
    if (strstr(tls_fault(tls)->text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", tls_fault(tls)->text, part);
    assert_int_equal(tls_fault(tls)->err, err);
}
