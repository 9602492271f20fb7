// SPDX-License-Identifier: Apache-2.0
// The settings file: YAML read by libcyaml against the schema that config_table.h yields.
//
// The only file that includes libcyaml. A setting that the file does not name stays NULL.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/fault.h"

// What a file says: a pointer a setting.
struct config_file {
#define TEXT(name, fallback, help) char *name;
#define NUMBER(name, fallback, least, most, unit, help) int64_t *name;
#define FLAG(name, fallback, help) bool *name;
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
};

// Gives *out (NULL when the file says nothing). INVALID names file, line and mend.
must_use enum kr_err config_file_load(const char *path, struct config_file **out,
                                      struct fault *fault);
void config_file_free(struct config_file **file);
