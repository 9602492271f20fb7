// SPDX-License-Identifier: Apache-2.0
// The requests that change a running world.
#include "bench/world_control.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/world.h"
#include "core/base/json.h"

enum { KR_CONTROL_WORDS = 16 };

// What a request speaks of: the paths from one of these to one of those, and back.
struct scope {
    bool from[KR_TOPOLOGY_REGIONS], to[KR_TOPOLOGY_REGIONS];
    bool is_one_way;
};

static size_t split(char *request, char *words[KR_CONTROL_WORDS])
{
    char *state = NULL;
    size_t count = 0;
    for (char *word = strtok_r(request, " ", &state); word != NULL && count < KR_CONTROL_WORDS;
         word = strtok_r(NULL, " ", &state))
        words[count++] = word;
    return count;
}

static enum kr_err read_regions(const struct topology *topology, const char *word,
                                bool out[KR_TOPOLOGY_REGIONS], struct fault *fault)
{
    bool is_all = strcmp(word, "all") == 0;
    size_t one = topology_region(topology, word);
    if (!is_all && one == topology->region_count)
        return fault_set(fault, KR_ERR_INVALID, "there is no region %s", word);
    for (size_t i = 0; i < topology->region_count; i++)
        out[i] = is_all || i == one;
    return KR_ERR_OK;
}

static enum kr_err read_scope(const struct topology *topology, char *words[], size_t count,
                              struct scope *out, struct fault *fault)
{
    *out = (struct scope){0};
    if (count < 3)
        return fault_set(fault, KR_ERR_INVALID, "%s takes two regions", words[0]);
    enum kr_err err = read_regions(topology, words[1], out->from, fault);
    if (err == KR_ERR_OK)
        err = read_regions(topology, words[2], out->to, fault);
    out->is_one_way = count > 3 && strcmp(words[3], "one-way") == 0;
    return err;
}

static bool is_meant(const struct scope *scope, size_t from, size_t to)
{
    return from != to && ((scope->from[from] && scope->to[to]) ||
                          (!scope->is_one_way && scope->from[to] && scope->to[from]));
}

static bool set_part(struct link_shape *shape, const char *name, double value)
{
    const struct {
        const char *name;
        double *out;
        double scale;
    } parts[] = {
        {"delay_ms", &shape->delay_ms, 1},     {"jitter_ms", &shape->jitter_ms, 1},
        {"loss_percent", &shape->loss, 0.01},  {"reorder_percent", &shape->reorder, 0.01},
        {"reorder_ms", &shape->reorder_ms, 1}, {"mbit", &shape->mbit, 1},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(name, parts[i].name) == 0) {
            *parts[i].out = value * parts[i].scale;
            return true;
        }
    if (strcmp(name, "queue_kib") != 0 || !(value >= 0 && value <= 1 << 20))
        return false;
    shape->queue_bytes = (uint64_t)value * 1024;
    return true;
}

static enum kr_err read_shape(enum link_kind kind, char *words[], size_t count,
                              struct link_shape *shape, struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        char *equals = strchr(words[i], '='), *end = NULL;
        if (equals == NULL)
            return fault_set(fault, KR_ERR_INVALID, "%s is no setting", words[i]);
        *equals = '\0';
        double value = strtod(equals + 1, &end);
        bool is_number = end != equals + 1 && *end == '\0';
        bool is_set = is_number && set_part(shape, words[i], value);
        *equals = '=';
        if (!is_set)
            return fault_set(fault, KR_ERR_INVALID, "%s is no setting", words[i]);
    }
    return topology_check_shape(kind, shape, fault);
}

// All shapes are checked before the first is set.
static enum kr_err set(const struct topology *topology, struct link *link, char *words[],
                       size_t count, struct fault *fault)
{
    struct scope scope;
    struct link_shape shapes[KR_TOPOLOGY_REGIONS][KR_TOPOLOGY_REGIONS];
    enum kr_err err = read_scope(topology, words, count, &scope, fault);
    if (err != KR_ERR_OK)
        return err;
    size_t first = scope.is_one_way ? 4 : 3;
    for (size_t from = 0; from < topology->region_count; from++)
        for (size_t to = 0; to < topology->region_count && err == KR_ERR_OK; to++) {
            shapes[from][to] = *link_get(link, from, to);
            if (is_meant(&scope, from, to))
                err = read_shape(link_kind(link), words + first, count - first, &shapes[from][to],
                                 fault);
        }
    for (size_t from = 0; from < topology->region_count && err == KR_ERR_OK; from++)
        for (size_t to = 0; to < topology->region_count; to++)
            if (is_meant(&scope, from, to))
                link_set(link, from, to, &shapes[from][to]);
    return err;
}

static enum kr_err cut(const struct topology *topology, struct link *link, char *words[],
                       size_t count, struct fault *fault)
{
    struct scope scope;
    enum kr_err err = read_scope(topology, words, count, &scope, fault);
    for (size_t from = 0; from < topology->region_count && err == KR_ERR_OK; from++)
        for (size_t to = 0; to < topology->region_count; to++)
            if (is_meant(&scope, from, to))
                link_cut(link, from, to, strcmp(words[0], "cut") == 0);
    return err;
}

// --- describe ------------------------------------------------------------------------------------

static void write_real(struct json_writer *writer, const char *name, double value)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%.9g", value);
    json_write_raw(writer, name, bytes_of(text, (size_t)size));
}

static void write_path(struct json_writer *writer, const struct topology *topology,
                       const struct link *link, size_t from, size_t to)
{
    const struct link_shape *shape = link_get(link, from, to);
    const struct link_counters *counters = link_counters(link, from, to);
    json_open(writer, NULL, '{');
    json_write_string(writer, "from", topology->regions[from]);
    json_write_string(writer, "to", topology->regions[to]);
    write_real(writer, "delayMs", shape->delay_ms);
    write_real(writer, "jitterMs", shape->jitter_ms);
    write_real(writer, "lossPercent", shape->loss * 100);
    write_real(writer, "reorderPercent", shape->reorder * 100);
    write_real(writer, "reorderMs", shape->reorder_ms);
    write_real(writer, "mbit", shape->mbit);
    json_write_integer(writer, "queueBytes", (int64_t)shape->queue_bytes);
    json_write_bool(writer, "cut", link_is_cut(link, from, to));
    json_write_integer(writer, "passed", (int64_t)counters->passed);
    json_write_integer(writer, "passedBytes", (int64_t)counters->passed_bytes);
    json_write_integer(writer, "lost", (int64_t)counters->lost);
    json_write_integer(writer, "overflowed", (int64_t)counters->overflowed);
    json_write_integer(writer, "cutOff", (int64_t)counters->cut);
    json_close(writer, '}');
}

static void describe(const struct topology *topology, const struct link *link, struct buf *answer)
{
    struct json_writer writer;
    char address[KR_TOPOLOGY_ADDRESS];
    json_begin(&writer, answer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "form", world_form(link_kind(link)));
    json_open(&writer, "regions", '[');
    for (size_t i = 0; i < topology->region_count; i++) {
        topology_address(topology, i, 1, address);
        json_open(&writer, NULL, '{');
        json_write_string(&writer, "name", topology->regions[i]);
        json_write_string(&writer, "address", address);
        json_close(&writer, '}');
    }
    json_close(&writer, ']');
    json_open(&writer, "links", '[');
    for (size_t from = 0; from < topology->region_count; from++)
        for (size_t to = 0; to < topology->region_count; to++)
            if (from != to)
                write_path(&writer, topology, link, from, to);
    json_close(&writer, ']');
    json_close(&writer, '}');
}

enum kr_err world_control(const struct topology *topology, struct link *link, char *request,
                          struct buf *answer, struct fault *fault)
{
    char *words[KR_CONTROL_WORDS];
    size_t count = split(request, words);
    if (count == 1 && strcmp(words[0], "describe") == 0) {
        describe(topology, link, answer);
        return KR_ERR_OK;
    }
    if (count > 0 && strcmp(words[0], "set") == 0)
        return set(topology, link, words, count, fault);
    if (count > 0 && (strcmp(words[0], "cut") == 0 || strcmp(words[0], "heal") == 0))
        return cut(topology, link, words, count, fault);
    return fault_set(fault, KR_ERR_INVALID, "%s is no request to a world",
                     count > 0 ? words[0] : "nothing");
}
