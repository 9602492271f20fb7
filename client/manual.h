// SPDX-License-Identifier: Apache-2.0
// Manual pages in troff (man macros), made from the tables of spec.h.
#pragma once

#include "client/spec.h"
#include "core/base/buf.h"

void manual_add_overview(struct buf *out); // keyreeve(1)
void manual_add_command(struct buf *out,
                        const struct spec_command *command); // keyreeve-key-list(1)
