// SPDX-License-Identifier: Apache-2.0
// The binary validation protocol on a serving loop: the turns of its connections.
//
// Sockets, ceilings, deadlines and slow readers are those of every connection (connection.c).
// Frames of many connections share one look-up; each connection's answers keep their order. Serving
// loop only, but for opening and freeing.
#pragma once

#include <stdbool.h>

#include "core/base/fault.h"

struct serve;
struct connection;
struct serve_line;
struct binary; // opaque

struct binary *binary_new(struct serve *serve); // gives; before its listeners accept
void binary_close(struct binary *binary);       // what keeps the loop alive
void binary_free(struct binary **binary);       // behind the loop's last turn

// Of the connections that have bytes, have ended, or may be answered again. Lends.
struct serve_line *binary_line(struct binary *binary);
// Is there any such connection, or news for a subscriber?
bool binary_is_due(const struct binary *binary);
// Tells subscribers the news, then answers the whole frames of the ready connections.
void binary_run(struct binary *binary);
bool binary_has_subscribers(const struct binary *binary); // any thread
// A connection that may wait for an index or be subscribed is being closed.
void binary_forget(struct binary *binary, struct connection *connection);
