// SPDX-License-Identifier: Apache-2.0
// A consumer as JSON with what the query asks to be embedded: its keys and its managers.
#pragma once

#include "node/api/api.h"

struct consumer_parts {
    bool with_keys, with_managers, with_invites;
    enum api_key_format format;
};

// include-api-keys, include-managers, include-manager-invites, key-format.
enum kr_err consumer_parts_read(struct call *call, const struct bucket *bucket,
                                struct consumer_parts *parts);
// scratch is reset by nobody here: the caller does, between consumers.
void consumer_parts_write(struct call *call, struct json_writer *writer,
                          const struct bucket *bucket, const struct consumer *consumer,
                          const struct consumer_parts *parts, struct arena *scratch);
// Does a manager or invite of the consumer have this address? Without regard to ASCII case.
bool consumer_has_manager(struct call *call, const char *consumer_id, const char *email,
                          struct arena *scratch, struct manager *manager);
