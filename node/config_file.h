// SPDX-License-Identifier: Apache-2.0
// The settings file: YAML read by libcyaml against the schema that config_table.h yields.
//
// The only file that includes libcyaml. A setting that the file does not name stays NULL.
#pragma once

#include <stdint.h>

#include "core/base/fault.h"

// What a file says: a pointer a setting. Flags are texts: libcyaml takes any word that it does not
// know for true, and a misspelled "false" must not open a listener.
struct config_file {
#define TEXT(name, fallback, help) char *name;
#define NUMBER(name, fallback, least, most, unit, help) int64_t *name;
#define FLAG(name, fallback, help) char *name;
#define SECRET(name, help)
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
};

// Gives *out (NULL when the file says nothing). INVALID names file, line and mend.
must_use enum kr_err config_file_load(const char *path, struct config_file **out,
                                      struct fault *fault);
void config_file_free(struct config_file **file);
