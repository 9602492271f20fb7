// SPDX-License-Identifier: Apache-2.0
// The progress line.
#include "client/progress.h"

#include <string.h>

enum { KR_PROGRESS_BAR = 24, KR_PROGRESS_LINE_MAX = 512 };

void progress_init(struct progress *progress, const struct term *term, const char *label,
                   uint64_t now_ms)
{
    *progress = (struct progress){.term = term, .label = label, .started_ms = now_ms};
}

bool progress_is_due(const struct progress *progress, uint64_t now_ms)
{
    if (!progress->term->is_terminal || now_ms - progress->started_ms < KR_PROGRESS_QUIET_MS)
        return false;
    return !progress->is_drawn || now_ms - progress->drawn_ms >= KR_PROGRESS_EVERY_MS;
}

static void add_bar(struct buf *out, uint64_t filled)
{
    buf_add_text(out, " [");
    for (uint64_t i = 0; i < KR_PROGRESS_BAR; i++)
        buf_add_u8(out, i < filled ? '#' : '.');
    buf_add_u8(out, ']');
}

static void add_mark(struct buf *out, uint64_t elapsed_ms)
{
    uint64_t at = elapsed_ms / 200 % KR_PROGRESS_BAR;
    buf_add_text(out, " [");
    for (uint64_t i = 0; i < KR_PROGRESS_BAR; i++)
        buf_add_u8(out, i == at ? '#' : '.');
    buf_add_u8(out, ']');
}

static void add_duration(struct buf *out, uint64_t ms)
{
    uint64_t s = (ms + 999) / 1000;
    if (s >= 3600)
        buf_printf(out, "%llu h %02llu min", (unsigned long long)(s / 3600),
                   (unsigned long long)(s / 60 % 60));
    else if (s >= 60)
        buf_printf(out, "%llu min %02llu s", (unsigned long long)(s / 60),
                   (unsigned long long)(s % 60));
    else
        buf_printf(out, "%llu s", (unsigned long long)s);
}

void progress_add_line(const struct progress *progress, struct progress_now now, uint64_t now_ms,
                       struct buf *out)
{
    char memory[KR_PROGRESS_LINE_MAX];
    struct buf line;
    uint64_t elapsed_ms = now_ms - progress->started_ms;
    uint64_t done = now.done < now.total ? now.done : now.total;
    buf_init_fixed(&line, memory, sizeof(memory) - 1);
    buf_add_text(&line, progress->label);
    if (now.total > 0) {
        double share = (double)done / (double)now.total;
        add_bar(&line, (uint64_t)(share * KR_PROGRESS_BAR));
        buf_printf(&line, " %3.0f %%", share * 100);
        if (done > 0 && done < now.total) {
            buf_add_text(&line, "  left: ");
            add_duration(&line, (uint64_t)((double)elapsed_ms * (1 / share - 1)));
        }
    } else {
        add_mark(&line, elapsed_ms);
        buf_add_u8(&line, ' ');
        add_duration(&line, elapsed_ms);
    }
    if (now.detail != NULL && *now.detail != '\0')
        buf_printf(&line, "  %s", now.detail);
    memory[line.size] = '\0';
    term_add_safe(out, memory, progress->term->width > 1 ? progress->term->width - 1 : SIZE_MAX);
}

void progress_draw(struct progress *progress, struct progress_now now, uint64_t now_ms)
{
    struct buf line;
    if (!progress_is_due(progress, now_ms))
        return;
    buf_init(&line, KR_PROGRESS_LINE_MAX);
    buf_add_text(&line, "\r\033[K");
    progress_add_line(progress, now, now_ms, &line);
    fwrite(line.data, 1, line.size, progress->term->file);
    fflush(progress->term->file);
    buf_fini(&line);
    progress->drawn_ms = now_ms;
    progress->is_drawn = true;
}

void progress_wipe(struct progress *progress)
{
    if (progress->is_drawn) {
        fputs("\r\033[K", progress->term->file);
        fflush(progress->term->file);
    }
    progress->is_drawn = false;
}

const char *progress_number(uint64_t value, char out[KR_PROGRESS_NUMBER_SIZE])
{
    char digits[24];
    struct buf text, grouped;
    buf_init_fixed(&text, digits, sizeof(digits));
    buf_add_decimal(&text, value);
    buf_init_fixed(&grouped, out, KR_PROGRESS_NUMBER_SIZE);
    for (size_t i = 0; i < text.size; i++) {
        if (i > 0 && (text.size - i) % 3 == 0)
            buf_add_u8(&grouped, ',');
        buf_add_u8(&grouped, (uint8_t)digits[i]);
    }
    buf_add_u8(&grouped, '\0');
    return out;
}
