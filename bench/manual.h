// SPDX-License-Identifier: Apache-2.0
// Manual pages of keyreeve-bench and its subcommands: what every page begins and ends with.
#pragma once

#include "core/base/buf.h"

struct manual_head {
    const char *name;    // "serve", "wan set [A [B]]": the page's is of its words in small letters
    const char *summary; // a line
    const char *about;   // lines
};

// Makes the page, as far as its description.
void manual_begin(struct buf *page, const struct manual_head *head);
// Adds exit codes and the example, prints the page (stdout) and frees it.
void manual_end(struct buf *page, const char *example);
