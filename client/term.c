// SPDX-License-Identifier: Apache-2.0
// The terminal.
#include "client/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "core/base/mem.h"

enum { KR_TERM_WIDTH = 80, KR_TERM_LINE_MAX = 4096 };

void term_init(struct term *term, FILE *file)
{
    struct winsize size = {0};
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    *term = (struct term){.file = file, .is_terminal = isatty(fileno(file)) == 1};
    if (!term->is_terminal)
        return;
    term->has_colour = (no_colour == NULL || *no_colour == '\0') &&
                       (kind != NULL && *kind != '\0' && strcmp(kind, "dumb") != 0);
    term->width = KR_TERM_WIDTH;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        term->width = size.ws_col;
}

const char *term_style(const struct term *term, enum term_style style)
{
    if (!term->has_colour)
        return "";
    switch (style) {
    case KR_STYLE_PLAIN:
        return "\033[0m";
    case KR_STYLE_BOLD:
        return "\033[1m";
    case KR_STYLE_DIM:
        return "\033[2m";
    case KR_STYLE_RED:
        return "\033[31m";
    case KR_STYLE_GREEN:
        return "\033[32m";
    case KR_STYLE_YELLOW:
        return "\033[33m";
    }
    return "";
}

bool term_can_ask(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

static enum kr_err read_line(int fd, struct buf *out, struct fault *fault)
{
    for (;;) {
        char byte;
        ssize_t size = read(fd, &byte, 1);
        if (size < 0 && errno == EINTR && is_interrupted)
            return fault_set(fault, KR_ERR_INVALID, "cancelled");
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0 || byte == '\n')
            break;
        if (byte != '\r')
            buf_add_u8(out, (uint8_t)byte);
        if (out->size > KR_TERM_LINE_MAX)
            return fault_set(fault, KR_ERR_TOO_LARGE, "the line is longer than %d bytes",
                             KR_TERM_LINE_MAX);
    }
    if (out->size == 0)
        return fault_set(fault, KR_ERR_INVALID, "nothing was typed");
    return KR_ERR_OK;
}

// Without echo. An interrupt ends the question and not the process, which would leave the terminal
// mute behind.
static enum kr_err ask_hidden(int fd, const char *question, struct buf *out, struct fault *fault)
{
    struct termios before, quiet;
    struct sigaction action = {.sa_handler = on_interrupt}, old;
    if (tcgetattr(fd, &before) != 0)
        return fault_set(fault, KR_ERR_IO, "the terminal cannot hide what is typed");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    is_interrupted = 0;
    sigaction(SIGINT, &action, &old);
    enum kr_err err = KR_ERR_OK;
    if (tcsetattr(fd, TCSAFLUSH, &quiet) != 0)
        err = fault_set(fault, KR_ERR_IO, "the terminal cannot hide what is typed");
    if (err == KR_ERR_OK) {
        dprintf(fd, "%s", question); // only now: what is typed before would be seen
        err = read_line(fd, out, fault);
    }
    tcsetattr(fd, TCSAFLUSH, &before);
    sigaction(SIGINT, &old, NULL);
    dprintf(fd, "\n");
    return err;
}

enum kr_err term_ask(const char *question, bool is_hidden, struct buf *out, struct fault *fault)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fault_set(fault, KR_ERR_NOT_FOUND, "there is no terminal to ask on");
    enum kr_err err;
    if (is_hidden) {
        err = ask_hidden(fd, question, out, fault);
    } else {
        dprintf(fd, "%s", question);
        err = read_line(fd, out, fault);
    }
    close(fd);
    return err;
}

// The code point at the front of valid UTF-8, and its size; a stray byte stands for itself.
static size_t decode(const char *text, wchar_t *point)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t size = at[0] < 0xc0 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint32_t value = size == 1 ? at[0] : at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            *point = at[0];
            return 1;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    *point = (wchar_t)value;
    return size;
}

static bool is_control(wchar_t point)
{
    // C0, DEL, C1, and the marks that turn the direction of what follows.
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static size_t columns_of(wchar_t point)
{
    int width = is_control(point) ? 1 : wcwidth(point);
    return width < 0 ? 1 : (size_t)width;
}

size_t term_columns(const char *text)
{
    size_t columns = 0;
    while (*text != '\0') {
        wchar_t point;
        text += decode(text, &point);
        columns += columns_of(point);
    }
    return columns;
}

void term_add_safe(struct buf *out, const char *text, size_t columns)
{
    bool is_cut = term_columns(text) > columns;
    size_t left = is_cut && columns > 0 ? columns - 1 : columns;
    while (*text != '\0') {
        wchar_t point;
        size_t size = decode(text, &point), width = columns_of(point);
        if (width > left)
            break;
        if (is_control(point))
            buf_add_u8(out, '?');
        else
            buf_add(out, text, size);
        text += size;
        left -= width;
    }
    if (is_cut && columns > 0)
        buf_add_text(out, "\xe2\x80\xa6");
}
