// SPDX-License-Identifier: Apache-2.0
// Structured log lines on stderr: readable text on a terminal, one JSON object a line otherwise.
//
// Thread-safe: one write(2) a line. A value of a key never reaches this file; only masked forms do.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { KR_LOG_DEBUG, KR_LOG_INFO, KR_LOG_WARN, KR_LOG_ERROR };
enum log_format { KR_LOG_AUTO, KR_LOG_TEXT, KR_LOG_JSON };

// A named value of a line. Build with the log_* helpers; the array ends with LOG_END.
struct log_field {
    const char *name; // NULL ends the list
    const char *text; // NULL: number holds the value
    int64_t number;
};

#define LOG_TEXT(name, value) ((struct log_field){(name), (value), 0})
#define LOG_NUMBER(name, value) ((struct log_field){(name), (const char *)0, (int64_t)(value)})

// Process-wide; AUTO looks whether stderr is a terminal.
void log_configure(enum log_level least, enum log_format format);
bool log_parse_level(const char *text, enum log_level *level); // "debug" … "error"

// Writes one line of at most 4 KiB: event is a short constant phrase, fields its particulars (may
// be NULL). Texts are escaped; what does not fit is cut, and the line says so. Keeps errno.
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_WITH(level, event, ...)                                                                \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__, {0}})
#define LOG_INFO(event, ...) LOG_WITH(KR_LOG_INFO, event, __VA_ARGS__)
#define LOG_WARN(event, ...) LOG_WITH(KR_LOG_WARN, event, __VA_ARGS__)
#define LOG_ERROR(event, ...) LOG_WITH(KR_LOG_ERROR, event, __VA_ARGS__)
