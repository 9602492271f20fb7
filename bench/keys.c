// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench keys: a file of keys, and the JSON Lines that import them.
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/draw.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "core/base/clock.h"
#include "core/keys/model.h"

enum { KR_KEYS_BUFFER = 1 << 20, KR_KEYS_STEP = 1 << 16 };

struct keys_options {
    uint64_t count, seed, consumers;
    const char *out, *jsonl, *bucket, *prefix;
};

static enum option_outcome parse(int argc, char **argv, struct keys_options *o)
{
    const struct option_row rows[] = {
        {"--count", "N", KR_OPTION_COUNT, &o->count, 1, 1e9, true, "how many keys"},
        {"--out", "FILE", KR_OPTION_TEXT, &o->out, 0, 0, true, "one key a line (created 0600)"},
        {"--jsonl", "FILE", KR_OPTION_TEXT, &o->jsonl, 0, 0, false,
         "rows for keyreeve import (created 0600)"},
        {"--seed", "S", KR_OPTION_COUNT, &o->seed, 0, 1.8e19, false,
         "the same seed gives the same keys (default 1)"},
        {"--consumers", "M", KR_OPTION_COUNT, &o->consumers, 1, 1e9, false,
         "spread over so many (default: a tenth of --count)"},
        {"--bucket", "NAME", KR_OPTION_TEXT, &o->bucket, 0, 0, false,
         "the rows' bucket (default production)"},
        {"--prefix", "TEXT", KR_OPTION_TEXT, &o->prefix, 0, 0, false,
         "the keys' prefix (default kr_live)"},
    };
    const struct option_spec spec = {
        "keys",
        "Mints well-formed keys from a seed. They are for measuring alone: whoever knows the\n"
        "seed knows them. Key number i belongs to consumer c000001 + i modulo --consumers.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench keys --count 10000000 --consumers 1000000 --out keys.txt "
        "--jsonl import.jsonl\n"};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return outcome;
    if (!format_is_prefix(o->prefix) || !model_is_bucket_name(o->bucket)) {
        fputs("keyreeve-bench keys: --prefix or --bucket has not the form of one\n", stderr);
        return KR_OPTIONS_USAGE;
    }
    if (o->consumers == 0)
        o->consumers = o->count > 10 ? o->count / 10 : 1;
    return KR_OPTIONS_RUN;
}

// As it was: it is emptied when both files are known to be two.
static FILE *create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        fprintf(stderr, "keyreeve-bench keys: %s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    setvbuf(file, NULL, _IOFBF, KR_KEYS_BUFFER);
    return file;
}

// Two writers would write over each other's bytes. A device takes both.
static bool are_one(FILE *keys, FILE *rows)
{
    struct stat one, other;
    return fstat(fileno(keys), &one) == 0 && fstat(fileno(rows), &other) == 0 &&
           S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static bool empty(FILE *file, const char *path)
{
    struct stat found;
    if (file == NULL || fstat(fileno(file), &found) != 0 || !S_ISREG(found.st_mode) ||
        ftruncate(fileno(file), 0) == 0)
        return true;
    fprintf(stderr, "keyreeve-bench keys: %s: %s\n", path, strerror(errno));
    return false;
}

static bool finish(FILE *file, const char *path)
{
    if (file == NULL)
        return true;
    bool is_written = !ferror(file);
    if (fclose(file) != 0 || !is_written) {
        fprintf(stderr, "keyreeve-bench keys: %s: not written whole: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static void write_rows(const struct keys_options *o, FILE *keys, FILE *rows)
{
    char key[KR_KEY_MINTED_SIZE];
    struct progress progress;
    progress_begin(&progress, "keys", o->count);
    for (uint64_t i = 0; i < o->count; i++) {
        draw_key(o->seed, i, o->prefix, key);
        fputs_unlocked(key, keys);
        putc_unlocked('\n', keys);
        if (rows != NULL)
            fprintf(rows, "{\"bucket\":\"%s\",\"consumer\":\"c%06llu\",\"key\":\"%s\"}\n",
                    o->bucket, (unsigned long long)(i % o->consumers + 1), key);
        if (i % KR_KEYS_STEP == 0)
            progress_at(&progress, i);
    }
    progress_end(&progress);
}

int bench_keys(int argc, char **argv)
{
    struct keys_options o = {.seed = 1, .bucket = "production", .prefix = "kr_live"};
    enum option_outcome outcome = parse(argc, argv, &o);
    if (outcome != KR_OPTIONS_RUN)
        return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    int status = KR_BENCH_FAILED;
    FILE *rows = NULL;
    FILE *keys = create(o.out);
    if (keys != NULL && o.jsonl != NULL)
        rows = create(o.jsonl);
    if (rows != NULL && are_one(keys, rows)) {
        fputs("keyreeve-bench keys: --out and --jsonl name one file; name two\n", stderr);
        fclose(rows);
        fclose(keys);
        return KR_BENCH_USAGE;
    }
    uint64_t begin_ns = clock_mono_ns();
    if (keys != NULL && (rows != NULL || o.jsonl == NULL) && empty(keys, o.out) &&
        empty(rows, o.jsonl)) {
        write_rows(&o, keys, rows);
        status = KR_BENCH_OK;
    }
    if (!finish(rows, o.jsonl) || !finish(keys, o.out))
        status = KR_BENCH_FAILED;
    if (status == KR_BENCH_OK)
        printf("%llu keys of %llu consumers in %.1f s\n", (unsigned long long)o.count,
               (unsigned long long)o.consumers, (double)(clock_mono_ns() - begin_ns) / 1e9);
    return status;
}
