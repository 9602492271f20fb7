// SPDX-License-Identifier: Apache-2.0
// The help texts, made from the tables of spec.h: all commands, one group, one command.
#pragma once

#include "client/spec.h"
#include "core/base/buf.h"

void help_add_overview(struct buf *out);
void help_add_group(struct buf *out, const struct spec_group *group);
void help_add_command(struct buf *out, const struct spec_command *command);

// "--tag NAME=VALUE", "--wait[=everywhere|committed]", "-b, --bucket NAME" with its letter.
void help_add_option_form(struct buf *out, const struct spec_option *option);

// Appends text wrapped at spaces to lines of at most width columns, each indented; a '\n' in the
// text begins a new paragraph.
void help_add_wrapped(struct buf *out, const char *text, unsigned indent, unsigned width);
