// SPDX-License-Identifier: Apache-2.0
// Reading a topology through libcyaml, and checking that it makes a world.
#include "bench/topology.h"

#include <cyaml/cyaml.h>
#include <math.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/yaml/document.h"

enum { KR_TOPOLOGY_FILE = 65536, KR_TOPOLOGY_LINKS = KR_TOPOLOGY_REGIONS * KR_TOPOLOGY_REGIONS };

extern const unsigned char five_regions_data[];
extern const size_t five_regions_size;

// --- the file ------------------------------------------------------------------------------------

struct row_of_link {
    char *between[2];
    double delay_ms, jitter_ms, loss_percent, reorder_percent, reorder_ms;
    double mbit;        // 0: as the file says for all
    uint64_t queue_kib; // 0: the same
};

struct row_of_node {
    char *name, *region, *role;
    char **upstreams;
    unsigned upstreams_count;
};

struct document {
    double mbit;
    uint64_t queue_kib;
    char **regions;
    unsigned regions_count;
    struct row_of_link *links;
    unsigned links_count;
    struct row_of_node *nodes;
    unsigned nodes_count;
};

static const cyaml_schema_value_t name_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, KR_TOPOLOGY_NAME - 1),
};

static const cyaml_schema_field_t link_fields[] = {
    CYAML_FIELD_SEQUENCE_FIXED("between", CYAML_FLAG_DEFAULT, struct row_of_link, between,
                               &name_schema, 2),
    CYAML_FIELD_FLOAT("delay_ms", CYAML_FLAG_DEFAULT, struct row_of_link, delay_ms),
    CYAML_FIELD_FLOAT("jitter_ms", CYAML_FLAG_OPTIONAL, struct row_of_link, jitter_ms),
    CYAML_FIELD_FLOAT("loss_percent", CYAML_FLAG_OPTIONAL, struct row_of_link, loss_percent),
    CYAML_FIELD_FLOAT("reorder_percent", CYAML_FLAG_OPTIONAL, struct row_of_link, reorder_percent),
    CYAML_FIELD_FLOAT("reorder_ms", CYAML_FLAG_OPTIONAL, struct row_of_link, reorder_ms),
    CYAML_FIELD_FLOAT("mbit", CYAML_FLAG_OPTIONAL, struct row_of_link, mbit),
    CYAML_FIELD_UINT("queue_kib", CYAML_FLAG_OPTIONAL, struct row_of_link, queue_kib),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t link_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct row_of_link, link_fields),
};

static const cyaml_schema_field_t node_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct row_of_node, name, 1,
                           KR_TOPOLOGY_NAME - 1),
    CYAML_FIELD_STRING_PTR("region", CYAML_FLAG_POINTER, struct row_of_node, region, 1,
                           KR_TOPOLOGY_NAME - 1),
    CYAML_FIELD_STRING_PTR("role", CYAML_FLAG_POINTER, struct row_of_node, role, 1,
                           KR_TOPOLOGY_NAME - 1),
    CYAML_FIELD_SEQUENCE("upstreams", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct row_of_node,
                         upstreams, &name_schema, 0, KR_TOPOLOGY_UPSTREAMS),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t node_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct row_of_node, node_fields),
};

static const cyaml_schema_field_t document_fields[] = {
    CYAML_FIELD_FLOAT("mbit", CYAML_FLAG_DEFAULT, struct document, mbit),
    CYAML_FIELD_UINT("queue_kib", CYAML_FLAG_DEFAULT, struct document, queue_kib),
    CYAML_FIELD_SEQUENCE("regions", CYAML_FLAG_POINTER, struct document, regions, &name_schema, 2,
                         KR_TOPOLOGY_REGIONS),
    CYAML_FIELD_SEQUENCE("links", CYAML_FLAG_POINTER, struct document, links, &link_schema, 1,
                         KR_TOPOLOGY_LINKS),
    CYAML_FIELD_SEQUENCE("nodes", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct document, nodes,
                         &node_schema, 0, KR_TOPOLOGY_NODES),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct document, document_fields),
};

// --- what it means -------------------------------------------------------------------------------

static enum kr_err check_share(double share, const char *what, struct fault *fault)
{
    if (share >= 0 && share <= 1)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID, "%s must be from 0 to 100 percent", what);
}

static enum kr_err check_ms(double ms, const char *what, struct fault *fault)
{
    if (ms >= 0 && ms <= KR_LINK_DELAY_MAX_MS)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID, "%s must be from 0 to %.0f ms", what,
                     KR_LINK_DELAY_MAX_MS);
}

enum kr_err topology_check_shape(enum link_kind kind, const struct link_shape *shape,
                                 struct fault *fault)
{
    if (kind == KR_LINK_STREAMS && (shape->loss > 0 || shape->reorder > 0))
        return fault_set(fault, KR_ERR_INVALID,
                         "a world of TCP relays has no packets to lose or to reorder; leave that "
                         "out, or run as root where there is /dev/net/tun");
    enum kr_err err = check_ms(shape->delay_ms, "the delay", fault);
    if (err == KR_ERR_OK)
        err = check_ms(shape->jitter_ms, "the jitter", fault);
    if (err == KR_ERR_OK)
        err = check_ms(shape->reorder_ms, "the time of reordering", fault);
    if (err == KR_ERR_OK)
        err = check_share(shape->loss, "the loss", fault);
    if (err == KR_ERR_OK)
        err = check_share(shape->reorder, "the reordering", fault);
    if (err != KR_ERR_OK)
        return err;
    if (!(shape->mbit >= KR_LINK_MBIT_MIN && shape->mbit <= KR_LINK_MBIT_MAX))
        return fault_set(fault, KR_ERR_INVALID, "the bandwidth must be from %g to %g Mbit/s",
                         KR_LINK_MBIT_MIN, KR_LINK_MBIT_MAX);
    if (shape->queue_bytes < 2048 || shape->queue_bytes > UINT64_C(1) << 30)
        return fault_set(fault, KR_ERR_INVALID, "the queue must be from 2 KiB to 1 GiB");
    return KR_ERR_OK;
}

size_t topology_region(const struct topology *topology, const char *name)
{
    size_t i = 0;
    while (i < topology->region_count && strcmp(topology->regions[i], name) != 0)
        i++;
    return i;
}

void topology_address(const struct topology *topology, size_t region, unsigned host,
                      char out[KR_TOPOLOGY_ADDRESS])
{
    snprintf(out, KR_TOPOLOGY_ADDRESS, "%u.%u.%u.%u", topology->net[0], topology->net[1],
             (unsigned)(region + 1) % 256, host % 256);
}

void topology_move(struct topology *topology, const uint8_t net[2])
{
    memcpy(topology->net, net, sizeof(topology->net));
    for (size_t i = 0; i < topology->node_count; i++) {
        struct topology_node *node = &topology->nodes[i];
        topology_address(topology, node->region, node->host, node->address);
    }
}

static enum kr_err check_link(const struct topology *topology, enum link_kind kind, size_t a,
                              size_t b, struct fault *fault)
{
    struct fault why;
    enum kr_err err = topology_check_shape(kind, &topology->shapes[a][b], &why);
    if (err == KR_ERR_OK)
        return KR_ERR_OK;
    return fault_set(fault, err, "link between %s and %s: %.200s", topology->regions[a],
                     topology->regions[b], why.text);
}

enum kr_err topology_check_kind(const struct topology *topology, enum link_kind kind,
                                struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t a = 0; a < topology->region_count; a++)
        for (size_t b = a + 1; b < topology->region_count && err == KR_ERR_OK; b++)
            err = check_link(topology, kind, a, b, fault);
    return err;
}

static enum kr_err take_regions(const struct document *document, struct topology *out,
                                struct fault *fault)
{
    for (unsigned i = 0; i < document->regions_count; i++) {
        const char *name = document->regions[i];
        if (topology_region(out, name) < out->region_count || strcmp(name, "all") == 0)
            return fault_set(fault, KR_ERR_INVALID, "region %s: %s", name,
                             strcmp(name, "all") == 0 ? "this word means all regions"
                                                      : "stands twice");
        snprintf(out->regions[out->region_count++], KR_TOPOLOGY_NAME, "%s", name);
    }
    return KR_ERR_OK;
}

static struct link_shape shape_of(const struct document *document, const struct row_of_link *row)
{
    return (struct link_shape){
        .delay_ms = row->delay_ms,
        .jitter_ms = row->jitter_ms,
        .loss = row->loss_percent / 100,
        .reorder = row->reorder_percent / 100,
        .reorder_ms = row->reorder_ms,
        .mbit = row->mbit > 0 ? row->mbit : document->mbit,
        .queue_bytes = (row->queue_kib > 0 ? row->queue_kib : document->queue_kib) * 1024};
}

static enum kr_err take_links(const struct document *document, struct topology *out,
                              struct fault *fault)
{
    for (unsigned i = 0; i < document->links_count; i++) {
        const struct row_of_link *row = &document->links[i];
        size_t a = topology_region(out, row->between[0]), b = topology_region(out, row->between[1]);
        if (a == out->region_count || b == out->region_count || a == b)
            return fault_set(fault, KR_ERR_INVALID, "link between %s and %s: no such two regions",
                             row->between[0], row->between[1]);
        if (out->shapes[a][b].mbit > 0)
            return fault_set(fault, KR_ERR_INVALID, "link between %s and %s: stands twice",
                             row->between[0], row->between[1]);
        out->shapes[a][b] = out->shapes[b][a] = shape_of(document, row);
        enum kr_err err = check_link(out, KR_LINK_PACKETS, a, b, fault);
        if (err != KR_ERR_OK)
            return err;
    }
    for (size_t a = 0; a < out->region_count; a++)
        for (size_t b = 0; b < a; b++)
            if (!(out->shapes[a][b].mbit > 0))
                return fault_set(fault, KR_ERR_INVALID, "no link between %s and %s",
                                 out->regions[b], out->regions[a]);
    return KR_ERR_OK;
}

static size_t find_node(const struct topology *topology, const char *name)
{
    size_t i = 0;
    while (i < topology->node_count && strcmp(topology->nodes[i].name, name) != 0)
        i++;
    return i;
}

static enum kr_err take_node(const struct row_of_node *row, struct topology *out,
                             struct fault *fault)
{
    struct topology_node node = {.region = topology_region(out, row->region),
                                 .is_core = strcmp(row->role, "core") == 0};
    unsigned number = 1;
    if (node.region == out->region_count)
        return fault_set(fault, KR_ERR_INVALID, "node %s: no region %s", row->name, row->region);
    if (!node.is_core && strcmp(row->role, "follower") != 0)
        return fault_set(fault, KR_ERR_INVALID, "node %s: role must be core or follower",
                         row->name);
    if (find_node(out, row->name) < out->node_count)
        return fault_set(fault, KR_ERR_INVALID, "node %s: stands twice", row->name);
    for (unsigned i = 0; i < row->upstreams_count; i++) {
        size_t upstream = find_node(out, row->upstreams[i]);
        if (upstream == out->node_count)
            return fault_set(fault, KR_ERR_INVALID,
                             "node %s: its upstream %s does not stand before it", row->name,
                             row->upstreams[i]);
        node.upstreams[node.upstream_count++] = upstream;
    }
    for (size_t i = 0; i < out->node_count; i++)
        number += out->nodes[i].region == node.region;
    snprintf(node.name, sizeof(node.name), "%s", row->name);
    node.host = 10 + number;
    topology_address(out, node.region, node.host, node.address);
    out->nodes[out->node_count++] = node;
    return KR_ERR_OK;
}

static enum kr_err take(const struct document *document, struct topology *out, struct fault *fault)
{
    enum kr_err err = take_regions(document, out, fault);
    if (err == KR_ERR_OK)
        err = take_links(document, out, fault);
    for (unsigned i = 0; i < document->nodes_count && err == KR_ERR_OK; i++)
        err = take_node(&document->nodes[i], out, fault);
    return err;
}

// What libcyaml says of the document as a whole has no line.
static enum kr_err refuse(const char *name, const struct document_complaint *complaint,
                          struct fault *fault)
{
    if (complaint->text[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: it is empty; a topology has mbit, queue_kib, regions and links, as "
                         "bench/five-regions.yaml shows",
                         name);
    if (complaint->line == 0)
        return fault_set(fault, KR_ERR_INVALID, "%s: %s", name, complaint->text);
    return fault_set(fault, KR_ERR_INVALID, "%s:%u: %s", name, complaint->line, complaint->text);
}

enum kr_err topology_load(const char *path, struct topology *out, struct fault *fault)
{
    const char *name = path != NULL ? path : "five-regions.yaml";
    struct document_complaint complaint;
    void *loaded = NULL;
    struct fault why = {0};
    struct buf text;
    *out = (struct topology){.net = {10, 84}};
    buf_init(&text, KR_TOPOLOGY_FILE);
    enum kr_err err = KR_ERR_OK;
    if (path == NULL)
        buf_add(&text, five_regions_data, five_regions_size);
    else
        err = file_read(path, &text, fault);
    if (err != KR_ERR_OK)
        goto done;
    err = document_load(buf_bytes(&text), &schema, &loaded, &complaint);
    if (err != KR_ERR_OK || loaded == NULL) {
        err = refuse(name, &complaint, fault);
        goto done;
    }
    err = take(loaded, out, &why);
    if (err != KR_ERR_OK)
        fault_set(fault, err, "%s: %.300s", name, why.text);
done:
    document_free(&schema, loaded);
    buf_fini(&text);
    return err;
}
