// SPDX-License-Identifier: Apache-2.0
// What was measured on: processor, memory, kernel, file system.
#pragma once

#include "core/base/json.h"

// Writes "machine":{…} with the file system that path lies on.
void machine_write(struct json_writer *writer, const char *path);
