// SPDX-License-Identifier: Apache-2.0
// The settings file: YAML read by libcyaml against the schema that config_table.h yields.
//
// The only file that includes libcyaml. A setting that the file does not name stays NULL.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/fault.h"

// What a file says: a pointer a setting, and every one a text. libcyaml takes any word that it does
// not know for true, and of a number what strtoll takes (64M as 64, 030 as 24): a flag, a variable
// and the file would not mean the same.
struct config_file {
#define TEXT(name, fallback, help) char *name;
#define NUMBER(name, fallback, least, most, unit, help) char *name;
#define FLAG(name, fallback, help) char *name;
#define SECRET(name, help)
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
    uint8_t *source; // the file itself; no setting
    size_t source_size;
};

// Gives *out (NULL when the file says nothing). INVALID names file, line and mend.
must_use enum kr_err config_file_load(const char *path, struct config_file **out,
                                      struct fault *fault);
// Where a setting stands, from 1; 0: it cannot be told.
unsigned config_file_line(const struct config_file *file, const char *setting);
void config_file_free(struct config_file **file);
