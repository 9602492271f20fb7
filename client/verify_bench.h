// SPDX-License-Identifier: Apache-2.0
// key verify --bench: how fast nodes answer a gateway, by libkeyreeve over the binary protocol.
#pragma once

#include "client/session.h"

// Asks for this key as long as --bench says, of the nodes that --nodes names, and shows the
// figures. NOT_VALID when the last answer was not VALID, UNREACHABLE when no node answered.
must_use enum exit_code verify_bench(struct session *session, const char *key);
