// SPDX-License-Identifier: Apache-2.0
// config_table.h as an array, for the files that walk all settings.
#pragma once

#include "node/config.h"

#define KR_CONFIG_NAME_SIZE 64

struct config_row {
    const char *name; // "serve_threads"
    enum config_kind { KR_CONFIG_TEXT, KR_CONFIG_NUMBER, KR_CONFIG_FLAG, KR_CONFIG_SECRET } kind;
    size_t offset;      // in struct config
    size_t file_offset; // in struct config_file
    const char *fallback;
    int64_t least, most; // of a NUMBER
    const char *unit, *help;
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

void *config_place(const struct config *config, const struct config_row *row);
void config_dashes(const char *name, char out[KR_CONFIG_NAME_SIZE]); // "serve-threads"
void config_flag_name(const struct config_row *row, char out[KR_CONFIG_NAME_SIZE]);
void config_variable_name(const struct config_row *row, char out[KR_CONFIG_NAME_SIZE]);

// Are the texts of the form that each must have, whatever else is set? INVALID names the setting.
must_use enum kr_err config_check(const struct config *config, struct fault *fault);
