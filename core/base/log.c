// SPDX-License-Identifier: Apache-2.0
// Structured log lines on stderr, each built on the stack and written at once.
//
// A line that would be too long ends early but well-formed: texts are added character by character
// up to a mark, and what must follow fits behind that mark.
#include "core/base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/text.h"

enum {
    KR_LOG_LINE = 4096,
    KR_LOG_TAIL = 64,     // room for the rest of a character, the end of the line, and the mark
    KR_LOG_NAME_MAX = 64, // bytes of a field's name
};

static atomic_int configured_level = KR_LOG_INFO;
static atomic_int configured_format = KR_LOG_AUTO;

struct line {
    struct buf buf;
    uint8_t memory[KR_LOG_LINE];
    bool is_json;
    bool is_cut;
};

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}

static enum log_format resolve(enum log_format format)
{
    if (format != KR_LOG_AUTO)
        return format;
    return isatty(STDERR_FILENO) ? KR_LOG_TEXT : KR_LOG_JSON;
}

void log_configure(enum log_level least, enum log_format format)
{
    atomic_store(&configured_level, (int)least);
    atomic_store(&configured_format, (int)resolve(format));
}

bool log_parse_level(const char *text, enum log_level *level)
{
    for (enum log_level known = KR_LOG_DEBUG; known <= KR_LOG_ERROR; known++) {
        if (strcmp(text, level_name(known)) == 0) {
            *level = known;
            return true;
        }
    }
    return false;
}

static bool has_room(struct line *line, size_t size_bytes)
{
    if (line->buf.size + size_bytes > KR_LOG_LINE - KR_LOG_TAIL)
        line->is_cut = true;
    return !line->is_cut;
}

static void add_character(struct line *line, uint8_t byte, bool is_utf8)
{
    if (byte == '"' || byte == '\\')
        buf_add(&line->buf, (const char[]){'\\', (char)byte}, 2);
    else if (byte == '\n')
        buf_add_text(&line->buf, "\\n");
    else if (byte < 0x20 || byte == 0x7f)
        buf_printf(&line->buf, "\\u%04x", byte);
    else if (byte > 0x7f && !is_utf8)
        buf_add_text(&line->buf, "\\ufffd");
    else
        buf_add_u8(&line->buf, byte);
}

// U+0080 to U+009F are orders to some terminals.
static bool is_control(struct bytes text, size_t at)
{
    return text.data[at] == 0xc2 && at + 1 < text.size && text.data[at + 1] < 0xa0;
}

static void add_escaped(struct line *line, struct bytes text)
{
    bool is_utf8 = text_is_utf8(text);
    for (size_t i = 0; i < text.size; i++) {
        bool is_continuation = is_utf8 && (text.data[i] & 0xc0) == 0x80;
        if (!is_continuation && !has_room(line, 6)) {
            buf_add_text(&line->buf, "...");
            return;
        }
        if (is_utf8 && is_control(text, i))
            buf_printf(&line->buf, "\\u%04x", text.data[++i]);
        else
            add_character(line, text.data[i], is_utf8);
    }
}

// Bounded before anything looks at the whole of it, and never in the middle of a character.
static struct bytes bounded(const char *text)
{
    size_t size = strnlen(text, KR_LOG_LINE);
    while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
        size--;
    return bytes_of(text, size);
}

static void add_quoted(struct line *line, const char *text)
{
    buf_add_u8(&line->buf, '"');
    add_escaped(line, bounded(text));
    buf_add_u8(&line->buf, '"');
}

static bool is_bare(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("\"=\\", text.data[i]) != NULL)
            return false;
    return text.size > 0;
}

static void add_text(struct line *line, const char *text)
{
    if (!line->is_json && is_bare(bounded(text)))
        add_escaped(line, bounded(text));
    else
        add_quoted(line, text);
}

static void add_number(struct line *line, int64_t number)
{
    if (number < 0)
        buf_add_u8(&line->buf, '-');
    buf_add_decimal(&line->buf, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static void add_field(struct line *line, const struct log_field *field)
{
    size_t name_size = strnlen(field->name, KR_LOG_NAME_MAX);
    if (!has_room(line, name_size + 32))
        return;
    buf_add_text(&line->buf, line->is_json ? ",\"" : " ");
    buf_add(&line->buf, field->name, name_size);
    buf_add_text(&line->buf, line->is_json ? "\":" : "=");
    if (field->text != NULL)
        add_text(line, field->text);
    else
        add_number(line, field->number);
}

static void add_head(struct line *line, enum log_level level, const char *event)
{
    static const char *const marks[] = {" DEBUG ", " INFO  ", " WARN  ", " ERROR "};
    char stamp[KR_STAMP_SIZE];
    clock_stamp(clock_unix_ms(), stamp);
    if (line->is_json) {
        buf_add_text(&line->buf, "{\"time\":\"");
        buf_add_text(&line->buf, stamp);
        buf_add_text(&line->buf, "\",\"level\":\"");
        buf_add_text(&line->buf, level_name(level));
        buf_add_text(&line->buf, "\",\"event\":");
        add_quoted(line, event);
    } else {
        buf_add_text(&line->buf, stamp);
        buf_add_text(&line->buf, marks[level]);
        add_escaped(line, bounded(event));
    }
}

static void add_end(struct line *line)
{
    if (line->is_cut)
        buf_add_text(&line->buf, line->is_json ? ",\"cut\":true" : " cut=true");
    buf_add_text(&line->buf, line->is_json ? "}\n" : "\n");
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&configured_level, memory_order_relaxed))
        return;
    int number = errno;
    struct line line;
    buf_init_fixed(&line.buf, line.memory, sizeof(line.memory));
    line.is_json = resolve((enum log_format)atomic_load(&configured_format)) == KR_LOG_JSON;
    line.is_cut = false;
    add_head(&line, level, event);
    for (; fields != NULL && fields->name != NULL && !line.is_cut; fields++)
        add_field(&line, fields);
    add_end(&line);
    // A log that cannot be written has nowhere to complain, and nobody should wait for it.
    while (write(STDERR_FILENO, line.buf.data, line.buf.size) < 0 && errno == EINTR)
        ;
    errno = number;
}
