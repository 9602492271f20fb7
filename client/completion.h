// SPDX-License-Identifier: Apache-2.0
// Completion scripts for bash, zsh and fish, made from the tables of spec.h.
#pragma once

#include "client/spec.h"
#include "core/base/buf.h"

void completion_add_bash(struct buf *out);
void completion_add_zsh(struct buf *out);
void completion_add_fish(struct buf *out);
