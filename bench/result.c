// SPDX-License-Identifier: Apache-2.0
// Result rows: each figure as one JSON object on a line.
#include "bench/result.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/mem.h"

enum { KR_RESULT_FORMAT = 1, KR_RESULT_BYTES = 1 << 24 };

extern const unsigned char targets_json_data[];
extern const size_t targets_json_size;

// --- the run -------------------------------------------------------------------------------------

// As a shell takes it.
static void add_argument(struct buf *out, const char *argument)
{
    if (argument[0] != '\0' && strpbrk(argument, " \t\n'\"\\$&|;<>*?()#~`") == NULL) {
        buf_printf(out, " %s", argument);
        return;
    }
    buf_printf(out, " '");
    for (; *argument != '\0'; argument++)
        buf_printf(out, *argument == '\'' ? "'\\''" : "%c", *argument);
    buf_printf(out, "'");
}

// Cut where it is too long.
static void note_command(struct result_run *run, int argc, char **argv)
{
    struct buf out;
    buf_init_fixed(&out, run->command, sizeof(run->command) - 1);
    buf_printf(&out, "keyreeve-bench");
    for (int i = 0; i < argc; i++)
        add_argument(&out, argv[i]);
    run->command[out.size] = '\0';
}

static enum kr_err open_file(struct result_run *run)
{
    char path[4096];
    enum kr_err err = file_make_directory(run->directory, 0755, run->fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(path, sizeof(path), "%s/rows.jsonl", run->directory);
    run->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (run->fd >= 0)
        return KR_ERR_OK;
    return fault_set(run->fault, err_from_errno(errno), "%s: %s", path, strerror(errno));
}

enum kr_err result_open(struct result_run *run, int argc, char **argv, struct fault *fault)
{
    run->fd = -1;
    run->fault = fault;
    note_command(run, argc, argv);
    enum kr_err err =
        json_parse(bytes_of(targets_json_data, targets_json_size), &run->targets, fault);
    if (err == KR_ERR_OK && run->directory != NULL)
        err = open_file(run);
    return err;
}

enum kr_err result_close(struct result_run *run, enum kr_err err)
{
    if (run->targets != NULL)
        json_free(&run->targets);
    if (run->fd >= 0)
        close(run->fd);
    run->fd = -1;
    return err != KR_ERR_OK ? err : run->err;
}

// --- statistics ----------------------------------------------------------------------------------

// Nine digits hold what is measured.
static void write_real(struct json_writer *writer, const char *name, double value)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%.9g", value);
    if (isfinite(value))
        json_write_raw(writer, name, bytes_of(text, (size_t)size));
    else
        json_write_null(writer, name);
}

static const struct {
    const char *name;
    double share;
} percentiles[] = {{"min", 0},    {"p50", 0.5},    {"p90", 0.9},
                   {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

enum { KR_RESULT_PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

struct statistics {
    uint64_t count;
    bool is_course; // points have no statistics
    double percentiles[KR_RESULT_PERCENTILES], mean;
};

static void sum_up_histogram(const struct histogram *histogram, struct statistics *out)
{
    out->count = histogram->count;
    out->mean = (double)histogram->sum_ns / 1e3 / (double)histogram->count;
    for (size_t i = 0; i < KR_RESULT_PERCENTILES; i++)
        out->percentiles[i] = (double)histogram_percentile(histogram, percentiles[i].share) / 1e3;
}

// The nearest rank; the median of an even number of values lies between the two in the middle.
static double percentile(double *sorted, size_t count, double share)
{
    size_t rank = (size_t)ceil(share * (double)count);
    return share == 0.5 ? table_median(sorted, count) : sorted[rank == 0 ? 0 : rank - 1];
}

static void sum_up_values(const struct result_row *row, struct statistics *out)
{
    double *sorted = mem_alloc(row->count * sizeof(*sorted)), sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < row->count; i++) {
        if (isnan(row->values[i]))
            continue;
        sorted[count++] = row->values[i];
        sum += row->values[i];
    }
    out->count = count;
    out->mean = sum / (double)count;
    (void)table_median(sorted, count); // sorts
    for (size_t i = 0; i < KR_RESULT_PERCENTILES && count > 0; i++)
        out->percentiles[i] = percentile(sorted, count, percentiles[i].share);
    mem_free(sorted);
}

static struct statistics sum_up(const struct result_row *row)
{
    struct statistics out = {.count = row->count, .is_course = row->points != NULL};
    if (row->histogram != NULL)
        sum_up_histogram(row->histogram, &out);
    else if (row->values != NULL)
        sum_up_values(row, &out);
    return out;
}

static void write_statistics(struct json_writer *writer, const struct statistics *statistics)
{
    json_open(writer, "stats", '{');
    json_write_integer(writer, "count", (int64_t)statistics->count);
    for (size_t i = 0; i < KR_RESULT_PERCENTILES && !statistics->is_course; i++)
        write_real(writer, percentiles[i].name, statistics->percentiles[i]);
    if (!statistics->is_course)
        write_real(writer, "mean", statistics->mean);
    json_close(writer, '}');
}

// --- the target ----------------------------------------------------------------------------------

static bool is_condition(const struct result_row *row, const char *name, const struct json *wanted)
{
    for (size_t i = 0; i < KR_RESULT_CONDITIONS && row->conditions[i].name != NULL; i++) {
        const struct result_condition *one = &row->conditions[i];
        if (strcmp(one->name, name) != 0)
            continue;
        if (json_type_of(wanted) == KR_JSON_STRING)
            return one->text != NULL && strcmp(one->text, json_text(wanted)) == 0;
        return one->text == NULL && one->number == json_double(wanted);
    }
    return false;
}

static bool is_under(const struct result_row *row, const struct json *conditions)
{
    void *cursor = NULL;
    const char *name;
    const struct json *wanted;
    while (conditions != NULL && json_next(conditions, &cursor, &name, &wanted))
        if (!is_condition(row, name, wanted))
            return false;
    return true;
}

static bool is_meant(const struct result_row *row, const struct json *figure)
{
    return strcmp(json_text(json_member(figure, "row")), row->name) == 0 &&
           is_under(row, json_member(figure, "where"));
}

// NULL: nobody has set a target for this row.
static const struct json *find_figure(const struct json *target, const struct result_row *row)
{
    const struct json *figures = json_member(target, "figures");
    for (size_t i = 0; i < json_size(figures); i++)
        if (is_meant(row, json_at(figures, i)))
            return json_at(figures, i);
    return NULL;
}

static void write_target(struct json_writer *writer, const struct json *figure,
                         const struct statistics *statistics)
{
    const struct json *most = json_member(figure, "atMost"),
                      *least = json_member(figure, "atLeast"), *at = json_member(figure, "at");
    const char *stat = json_text(json_member(figure, "stat"));
    double bound = json_double(most != NULL ? most : least);
    json_open(writer, "target", '{');
    json_write_string(writer, "stat", stat);
    write_real(writer, most != NULL ? "atMost" : "atLeast", bound);
    if (at != NULL) {
        struct buf text;
        buf_init(&text, 1024);
        json_add(&text, at);
        json_write_raw(writer, "at", buf_bytes(&text));
        buf_fini(&text);
    }
    json_close(writer, '}');
    for (size_t i = 0; i < KR_RESULT_PERCENTILES; i++)
        if (bound > 0 && strcmp(percentiles[i].name, stat) == 0)
            write_real(writer, "ratio", statistics->percentiles[i] / bound);
}

// The first figure of all targets that is meant by such a row, and its target; NULL: none is.
static const struct json *find_target(const struct result_run *run, const struct result_row *row,
                                      const struct json **target)
{
    const struct json *all = run->targets != NULL ? json_member(run->targets, "targets") : NULL;
    if (row->system != NULL && strcmp(row->system, "keyreeve") != 0)
        return NULL;
    for (size_t i = 0; all != NULL && i < json_size(all); i++) {
        *target = json_at(all, i);
        const struct json *figure = find_figure(*target, row);
        if (figure != NULL)
            return figure;
    }
    return NULL;
}

static void write_targets(struct json_writer *writer, const struct result_run *run,
                          const struct result_row *row, const struct statistics *statistics)
{
    const struct json *target, *figure = find_target(run, row, &target);
    if (figure == NULL)
        return;
    json_write_string(writer, "id", json_text(json_member(target, "id")));
    write_target(writer, figure, statistics);
}

void result_target(const struct result_run *run, const struct result_row *row, char *out,
                   size_t size)
{
    const struct json *target, *figure = find_target(run, row, &target);
    const struct json *most = figure != NULL ? json_member(figure, "atMost") : NULL;
    out[0] = '\0';
    if (figure == NULL)
        return;
    bool is_meant_for_it = is_under(row, json_member(figure, "at"));
    snprintf(out, size, is_meant_for_it ? "%s %.9g" : "(%s %.9g)", most != NULL ? "<=" : ">=",
             json_double(most != NULL ? most : json_member(figure, "atLeast")));
}

bool result_misses(const struct result_run *run, const struct result_row *row)
{
    const struct statistics statistics = sum_up(row);
    const struct json *target, *figure = find_target(run, row, &target);
    if (figure == NULL || !is_under(row, json_member(figure, "at")))
        return false;
    const struct json *most = json_member(figure, "atMost");
    const char *stat = json_text(json_member(figure, "stat"));
    double bound = json_double(most != NULL ? most : json_member(figure, "atLeast"));
    for (size_t i = 0; i < KR_RESULT_PERCENTILES; i++) {
        double value = statistics.percentiles[i];
        if (strcmp(percentiles[i].name, stat) == 0)
            return most != NULL ? value > bound : value < bound;
    }
    return false;
}

// --- a row ---------------------------------------------------------------------------------------

static void write_conditions(struct json_writer *writer, const struct result_row *row)
{
    json_open(writer, "conditions", '{');
    for (size_t i = 0; i < KR_RESULT_CONDITIONS && row->conditions[i].name != NULL; i++) {
        if (row->conditions[i].text != NULL)
            json_write_string(writer, row->conditions[i].name, row->conditions[i].text);
        else
            write_real(writer, row->conditions[i].name, row->conditions[i].number);
    }
    json_close(writer, '}');
}

static void write_pair(struct json_writer *writer, double x, double y)
{
    json_open(writer, NULL, '[');
    write_real(writer, NULL, x);
    write_real(writer, NULL, y);
    json_close(writer, ']');
}

// Pairs of a value and how many were measured above the pair before, up to and with this value.
static void write_bins(struct json_writer *writer, const struct histogram *histogram)
{
    size_t cursor = 0;
    uint64_t value_ns, count;
    json_open(writer, "histogram", '[');
    while (histogram_next(histogram, &cursor, &value_ns, &count))
        write_pair(writer, (double)value_ns / 1e3, (double)count);
    json_close(writer, ']');
}

static void write_data(struct json_writer *writer, const struct result_row *row)
{
    if (row->histogram != NULL) {
        write_bins(writer, row->histogram);
        return;
    }
    json_open(writer, row->values != NULL ? "values" : "points", '[');
    for (size_t i = 0; i < row->count; i++) {
        if (row->points != NULL)
            write_pair(writer, row->points[i].x, row->points[i].y);
        else
            write_real(writer, NULL, row->values[i]);
    }
    json_close(writer, ']');
}

static const char *disk_of(const struct result_run *run)
{
    if (run->disk != NULL)
        return run->disk;
    return run->directory != NULL ? run->directory : ".";
}

void result_render(const struct result_run *run, const struct result_row *row, struct buf *out)
{
    struct json_writer writer;
    double load = 0;
    const struct statistics statistics = sum_up(row);
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "format", KR_RESULT_FORMAT);
    json_write_string(&writer, "name", row->name);
    json_write_string(&writer, "label", row->label);
    json_write_string(&writer, "system", row->system != NULL ? row->system : "keyreeve");
    json_write_string(&writer, "region", row->region);
    json_write_string(&writer, "unit", row->unit);
    write_targets(&writer, run, row, &statistics);
    write_conditions(&writer, row);
    write_statistics(&writer, &statistics);
    write_data(&writer, row);
    json_write_string(&writer, "command", run->command);
    json_write_integer(&writer, "seed", (int64_t)run->seed);
    json_write_string(&writer, "version", KR_VERSION);
    machine_write(&writer, disk_of(run));
    if (getloadavg(&load, 1) == 1)
        write_real(&writer, "load1", load);
    json_write_stamp(&writer, "at", clock_unix_ms());
    json_close(&writer, '}');
    buf_add(out, "\n", 1);
}

static void write_whole(struct result_run *run, struct bytes line)
{
    ssize_t size = write(run->fd, line.data, line.size);
    if (size != (ssize_t)line.size && run->err == KR_ERR_OK)
        run->err = fault_set(run->fault, KR_ERR_IO, "%s/rows.jsonl: %s", run->directory,
                             size < 0 ? strerror(errno) : "the disk is full");
}

void result_write(struct result_run *run, const struct result_row *row)
{
    struct buf line;
    if ((run->fd < 0 && !run->is_json) || sum_up(row).count == 0)
        return;
    buf_init(&line, KR_RESULT_BYTES);
    result_render(run, row, &line);
    if (run->is_json)
        printf("%.*s", (int)line.size, (const char *)line.data);
    if (run->fd >= 0)
        write_whole(run, buf_bytes(&line));
    buf_fini(&line);
}
