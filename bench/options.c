// SPDX-License-Identifier: Apache-2.0
// Options of a subcommand: parsing, help and manual page from one table.
#include "bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/manual.h"
#include "core/base/troff.h"

enum {
    KR_OPTIONS_MAX = 48,
    KR_HELP_COLUMN = 28,
    KR_OPTION_URL_MAX = 255,
    KR_ROW_TEXT_SIZE = 512,
    KR_SUMMARY_SIZE = 256
};

static void print_help(const struct option_spec *spec)
{
    printf("Usage: keyreeve-bench %s [OPTION]...\n\n%s\nOptions:\n", spec->subcommand, spec->about);
    for (size_t i = 0; i < spec->count; i++) {
        const struct option_row *row = &spec->rows[i];
        int width = printf("  %s%s%s", row->name, row->value != NULL ? " " : "",
                           row->value != NULL ? row->value : "");
        printf("%*s%s%s\n", width < KR_HELP_COLUMN ? KR_HELP_COLUMN - width : 1, "", row->help,
               row->is_required ? " (required)" : "");
    }
    printf("  %-*sthis text\n", KR_HELP_COLUMN - 2, "--help");
    printf("  %-*sthis text as a manual page (troff)\n", KR_HELP_COLUMN - 2, "--man");
    printf("\nExit codes: 0 measured; 1 could not measure; 2 the command line is not valid.\n"
           "\nExample:\n%s",
           spec->example);
}

static void add_row(struct buf *out, const struct option_row *row)
{
    char form[KR_ROW_TEXT_SIZE], help[KR_ROW_TEXT_SIZE];
    snprintf(form, sizeof(form), "%s%s%s", row->name, row->value != NULL ? " " : "",
             row->value != NULL ? row->value : "");
    snprintf(help, sizeof(help), "%s%s", row->help, row->is_required ? " (required)" : "");
    troff_add_term(out, form, help);
}

// What the page is about, in a line: the first sentence.
static void first_sentence(const char *about, char out[KR_SUMMARY_SIZE])
{
    snprintf(out, KR_SUMMARY_SIZE, "%.*s", (int)strcspn(about, ".:"), about);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
}

static void print_manual(const struct option_spec *spec)
{
    char summary[KR_SUMMARY_SIZE];
    struct buf page;
    first_sentence(spec->about, summary);
    manual_begin(&page, &(struct manual_head){spec->subcommand, summary, spec->about});
    troff_add_section(&page, "OPTIONS");
    for (size_t i = 0; i < spec->count; i++)
        add_row(&page, &spec->rows[i]);
    manual_end(&page, spec->example);
}

static bool is_name(const char *argument, const char *name)
{
    size_t size = strlen(name);
    return strncmp(argument, name, size) == 0 && (argument[size] == '\0' || argument[size] == '=');
}

static size_t find_row(const struct option_spec *spec, const char *argument)
{
    size_t i = 0;
    while (i < spec->count && !is_name(argument, spec->rows[i].name))
        i++;
    return i;
}

static bool is_bounded(const struct option_row *row, double number)
{
    return number >= row->low && number <= row->high;
}

static bool set_count(const struct option_row *row, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
        !is_bounded(row, (double)number))
        return false;
    *(uint64_t *)row->out = number;
    return true;
}

static bool set_real(const struct option_row *row, const char *text)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !is_bounded(row, number))
        return false;
    *(double *)row->out = number;
    return true;
}

static bool set_value(const struct option_row *row, const char *text)
{
    switch (row->kind) {
    case KR_OPTION_FLAG:
        *(bool *)row->out = true;
        return true;
    case KR_OPTION_TEXT:
        *(const char **)row->out = text;
        return true;
    case KR_OPTION_URL:
        *(const char **)row->out = text;
        return strncmp(text, "http://", 7) == 0 && strlen(text) <= KR_OPTION_URL_MAX;
    case KR_OPTION_COUNT:
        return set_count(row, text);
    case KR_OPTION_REAL:
        return set_real(row, text);
    }
    return false;
}

static enum option_outcome refuse(const struct option_spec *spec, const char *what,
                                  const char *name)
{
    fprintf(stderr, "keyreeve-bench %s: %s %s; see --help\n", spec->subcommand, what, name);
    return KR_OPTIONS_USAGE;
}

static enum option_outcome refuse_value(const struct option_spec *spec,
                                        const struct option_row *row)
{
    if (row->kind == KR_OPTION_URL)
        fprintf(stderr, "keyreeve-bench %s: %s must be http://HOST:PORT; see --help\n",
                spec->subcommand, row->name);
    else
        fprintf(stderr, "keyreeve-bench %s: %s must be a number from %.10g to %.10g\n",
                spec->subcommand, row->name, row->low, row->high);
    return KR_OPTIONS_USAGE;
}

static enum option_outcome check_required(const struct option_spec *spec, const bool *is_seen)
{
    for (size_t i = 0; i < spec->count; i++)
        if (spec->rows[i].is_required && !is_seen[i])
            return refuse(spec, "missing", spec->rows[i].name);
    return KR_OPTIONS_RUN;
}

enum option_outcome options_parse(const struct option_spec *spec, int argc, char **argv)
{
    bool is_seen[KR_OPTIONS_MAX] = {false};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(spec);
            return KR_OPTIONS_HELP;
        }
        if (strcmp(argv[i], "--man") == 0) {
            print_manual(spec);
            return KR_OPTIONS_HELP;
        }
        size_t at = find_row(spec, argv[i]);
        if (at == spec->count || at >= KR_OPTIONS_MAX)
            return refuse(spec, "unknown option", argv[i]);
        const struct option_row *row = &spec->rows[at];
        const char *text = strchr(argv[i], '=');
        if (row->kind == KR_OPTION_FLAG ? text != NULL : text == NULL && i + 1 >= argc)
            return refuse(spec, row->kind == KR_OPTION_FLAG ? "no value goes with" : "no value for",
                          row->name);
        if (row->kind != KR_OPTION_FLAG)
            text = text != NULL ? text + 1 : argv[++i];
        if (!set_value(row, text))
            return refuse_value(spec, row);
        is_seen[at] = true;
    }
    return check_required(spec, is_seen);
}
