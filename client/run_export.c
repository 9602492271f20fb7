// SPDX-License-Identifier: Apache-2.0
// keyreeve export: buckets, consumers and keys as JSON Lines, never a key's value.
#include "client/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/progress.h"
#include "client/target.h"
#include "client/view.h"
#include "core/base/clock.h"

enum {
    KR_EXPORT_PAGE = 1000,
    KR_EXPORT_CONSUMER_PAGE = 250,
    KR_EXPORT_EMBEDDED_MAX = 1000, // keys that a node shows with their consumer
    KR_EXPORT_FLUSH = 1 << 16
};

#define KR_EXPORT_LINE_MAX ((size_t)64 << 20)

struct export
{
    struct session *session;
    FILE *file;
    const char *target; // the file of --out; NULL: what cannot be replaced is written to as it is
    char *temporary;    // beside it until it is whole
    struct buf text;
    struct progress progress;
    const char *bucket, *consumer; // being exported
    uint64_t buckets, consumers, keys;
    enum exit_code code;
};

static void write_out(struct export *export)
{
    struct buf *text = &export->text;
    if (export->code == KR_EXIT_OK && export->file == stdout)
        export->code = session_write(export->session, buf_bytes(text));
    else if (export->code == KR_EXIT_OK && text->size > 0 &&
             fwrite(text->data, 1, text->size, export->file) != text->size)
        export->code = session_fail(export->session, KR_EXIT_FAILURE, NULL, "cannot write: %s",
                                    strerror(errno));
    buf_clear(text);
}

static void draw(struct export *export)
{
    char detail[160], consumers[KR_PROGRESS_NUMBER_SIZE], keys[KR_PROGRESS_NUMBER_SIZE];
    uint64_t now_ms = clock_mono_ns() / 1000000;
    if (!progress_is_due(&export->progress, now_ms))
        return;
    snprintf(detail, sizeof(detail), "%s: %s consumers, %s keys in all",
             export->bucket == NULL ? "buckets" : export->bucket,
             progress_number(export->consumers, consumers), progress_number(export->keys, keys));
    progress_draw(&export->progress, (struct progress_now){.detail = detail}, now_ms);
}

// One line: the type, where it belongs, and the node's own members but those that are left out.
static void add_line(struct export *export, const char *type, const char *consumer,
                     const struct json *object)
{
    struct json_writer writer;
    struct buf value;
    void *cursor = NULL;
    const char *name;
    const struct json *item;
    buf_init(&value, KR_EXPORT_LINE_MAX);
    json_begin(&writer, &export->text);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "type", type);
    if (strcmp(type, "bucket") != 0)
        json_write_string(&writer, "bucket", export->bucket);
    if (consumer != NULL)
        json_write_string(&writer, "consumer", consumer);
    while (json_next(object, &cursor, &name, &item)) {
        // "key" would be the value wherever the node showed it; "masked" says which key it is.
        if (strcmp(name, "key") == 0 || strcmp(name, "apiKeys") == 0)
            continue;
        buf_clear(&value);
        json_add(&value, item);
        json_write_raw(&writer, name, buf_bytes(&value));
    }
    json_close(&writer, '}');
    buf_add_u8(&export->text, '\n');
    buf_fini(&value);
    if (buf_result(&export->text) != KR_ERR_OK)
        export->code = session_fail(export->session, KR_EXIT_FAILURE, NULL,
                                    "an object is larger than %zu bytes", KR_EXPORT_LINE_MAX);
    if (export->text.size >= KR_EXPORT_FLUSH)
        write_out(export);
}

static bool export_key(void *user, const struct json *item)
{
    struct export *export = user;
    add_line(export, "key", export->consumer, item);
    export->keys++;
    draw(export);
    return export->code == KR_EXIT_OK;
}

static void list_into(struct export *export, const char *path, uint64_t page_size,
                      api_item_fn *each)
{
    struct api_pages pages = {
        .path = path, .page_size = page_size, .limit = UINT64_MAX, .each = each, .user = export};
    enum exit_code code = api_list(export->session, &pages);
    if (export->code == KR_EXIT_OK)
        export->code = code;
}

// All keys of a consumer that has more than are shown with it, from their own list.
static void export_keys_of(struct export *export, const char *consumer)
{
    struct session *session = export->session;
    const char *path = api_under(session, api_bucket(session, export->bucket), "consumers");
    path = api_under(session, api_under(session, path, consumer), "keys"); // names need no encoding
    list_into(export, api_with(session, path, "key-format", "none"), KR_EXPORT_PAGE, export_key);
}

static bool export_consumer(void *user, const struct json *item)
{
    struct export *export = user;
    const struct json *keys = api_array(item, "apiKeys");
    size_t count = keys == NULL ? 0 : json_size(keys);
    export->consumer = api_text(item, "name");
    add_line(export, "consumer", NULL, item);
    export->consumers++;
    if (count >= KR_EXPORT_EMBEDDED_MAX && export->consumer != NULL)
        export_keys_of(export, export->consumer);
    else
        for (size_t i = 0; i < count && export_key(export, json_at(keys, i)); i++)
            continue;
    draw(export);
    return export->code == KR_EXIT_OK;
}

static void export_bucket_named(struct export *export, const char *name)
{
    struct session *session = export->session;
    struct api_answer answer;
    const char *path = api_bucket(session, name);
    export->code = api_get(session, path, &answer);
    if (export->code == KR_EXIT_OK) {
        // By id or by name: the lines speak of the name.
        const char *called = api_text(answer.json, "name");
        export->bucket = arena_text(&session->arena, called == NULL ? name : called);
        add_line(export, "bucket", NULL, answer.json);
        export->buckets++;
    }
    api_answer_fini(&answer);
    if (export->code != KR_EXIT_OK)
        return;
    path = api_under(session, path, "consumers");
    path = api_with(session, path, "include-api-keys", "true");
    list_into(export, api_with(session, path, "key-format", "none"), KR_EXPORT_CONSUMER_PAGE,
              export_consumer);
}

static bool export_listed(void *user, const struct json *item)
{
    struct export *export = user;
    const char *name = api_text(item, "name");
    if (name != NULL)
        export_bucket_named(export, name);
    return export->code == KR_EXIT_OK;
}

static char *volatile unfinished; // goes when the process is ended

static void on_end(int number)
{
    if (unfinished != NULL)
        unlink(unfinished);
    raise(number); // which ends it, once this is over
}

static void watch_end(int number)
{
    struct sigaction action = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND}, old;
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static int open_beside(struct export *export, const char *path)
{
    export->target = path;
    export->temporary = arena_printf(&export->session->arena, "%s.XXXXXX", path);
    watch_end(SIGINT);
    watch_end(SIGTERM);
    int fd = mkostemp(export->temporary, O_CLOEXEC);
    if (fd >= 0)
        unfinished = export->temporary;
    return fd;
}

static void open_out(struct export *export)
{
    struct target target;
    struct fault fault = {0};
    struct session *session = export->session;
    const char *path = parse_value(session->in, KR_OPT_OUT);
    export->file = stdout;
    if (path == NULL || strcmp(path, "-") == 0)
        return;
    export->file = NULL;
    if (target_find(&session->arena, path, &target, &fault) != KR_ERR_OK) {
        export->code = session_fail(session, KR_EXIT_FAILURE, NULL, "%s", fault.text);
        return;
    }
    int fd = target.is_special ? open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)
                               : open_beside(export, target.path);
    export->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (export->file == NULL)
        export->code = session_fail(session, KR_EXIT_FAILURE, NULL,
                                    "%s: cannot create a file there: %s", path, strerror(errno));
}

// All is written, and then the file takes its place; else it goes.
static bool put_in_place(struct export *export)
{
    bool is_good =
        fflush(export->file) == 0 && (export->target == NULL || fsync(fileno(export->file)) == 0);
    is_good = fclose(export->file) == 0 && is_good;
    if (export->target == NULL)
        return is_good;
    if (export->code == KR_EXIT_OK && is_good && rename(export->temporary, export->target) == 0) {
        unfinished = NULL;
        return true;
    }
    int number = errno;
    unlink(export->temporary);
    unfinished = NULL;
    errno = number;
    return false;
}

static void close_out(struct export *export)
{
    write_out(export);
    if (export->file == NULL || export->file == stdout)
        return;
    if (!put_in_place(export) && export->code == KR_EXIT_OK)
        export->code = session_fail(export->session, KR_EXIT_FAILURE, NULL, "cannot write %s: %s",
                                    parse_value(export->session->in, KR_OPT_OUT), strerror(errno));
}

enum exit_code run_export(struct session *session)
{
    struct export export = {.session = session};
    const struct invocation *in = session->in;
    buf_init(&export.text, KR_EXPORT_LINE_MAX);
    progress_init(&export.progress, &session->err, "Exporting", clock_mono_ns() / 1000000);
    open_out(&export);
    for (size_t i = 0; export.code == KR_EXIT_OK && i < in->argument_count; i++)
        export_bucket_named(&export, in->arguments[i]);
    if (export.code == KR_EXIT_OK && in->argument_count == 0)
        list_into(&export, api_buckets(session), KR_EXPORT_PAGE, export_listed);
    close_out(&export);
    progress_wipe(&export.progress);
    buf_fini(&export.text);
    if (export.code == KR_EXIT_OK)
        session_note(session, "exported %llu buckets, %llu consumers, %llu keys",
                     (unsigned long long)export.buckets, (unsigned long long)export.consumers,
                     (unsigned long long)export.keys);
    return export.code;
}
