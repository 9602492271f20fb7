// SPDX-License-Identifier: Apache-2.0
// How many descriptors this process may have, and how many of them connections may take.
//
// The rest is for the database, links to other nodes and the loops: where those find none, the node
// loses more than a connection.
#pragma once

#include "node/config.h"

// Raises the limit as far as the process may, and gives it; UINT64_MAX: there is none.
uint64_t descriptors_raise(void);
// What all connections that the settings allow would need, with all else.
uint64_t descriptors_wanted(const struct config *config, size_t loops);
// How many connections there may be: connections_max, or what the limit leaves.
uint64_t descriptors_connections(const struct config *config, size_t loops, uint64_t limit);
