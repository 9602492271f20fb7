// SPDX-License-Identifier: Apache-2.0
// Accepts what waits, in turns with all else that the loop has to do.
#include "replication/acceptor.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/mem.h"

enum { KR_ACCEPTOR_AT_ONCE = 64 }; // the rest is accepted in the loop's next turn

struct acceptor {
    struct acceptor_options options;
    uv_poll_t poll;
    bool is_paused;
    void (*closed)(void *ctx);
};

static void pause_accepting(struct acceptor *acceptor)
{
    uv_poll_stop(&acceptor->poll);
    acceptor->is_paused = true;
}

// False: nobody waits, or nobody can be accepted.
static bool accept_one(struct acceptor *acceptor)
{
    int fd = accept4(acceptor->options.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        acceptor->options.accepted(acceptor->options.ctx, fd);
        return !uv_is_closing((uv_handle_t *)&acceptor->poll);
    }
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    // EMFILE, ENFILE, ENOMEM, ENOBUFS. Whatever else it is, asking again at once is no help.
    if (errno != EAGAIN)
        pause_accepting(acceptor);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = poll->data;
    (void)events;
    if (status != 0) { // UNTESTED: an error of the listening socket itself
        pause_accepting(acceptor);
        return;
    }
    for (int i = 0; i < KR_ACCEPTOR_AT_ONCE && accept_one(acceptor); i++)
        ;
}

struct acceptor *acceptor_new(const struct acceptor_options *options)
{
    struct acceptor *acceptor = mem_zalloc(sizeof(*acceptor));
    acceptor->options = *options;
    acceptor->poll.data = acceptor;
    int error = listen(options->fd, options->backlog) == 0 ? 0 : errno;
    if (error == 0)
        error = -uv_poll_init(options->loop, &acceptor->poll, options->fd);
    if (error == 0) {
        uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
        return acceptor;
    }
    close(options->fd);
    mem_free(acceptor);
    errno = error;
    return NULL;
}

bool acceptor_tick(struct acceptor *acceptor)
{
    bool was_paused = acceptor->is_paused;
    if (was_paused)
        uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
    acceptor->is_paused = false;
    return was_paused;
}

static void on_closed(uv_handle_t *handle)
{
    struct acceptor *acceptor = handle->data;
    if (acceptor->closed != NULL)
        acceptor->closed(acceptor->options.ctx);
    mem_free(acceptor);
}

void acceptor_close(struct acceptor **acceptor, void (*closed)(void *ctx))
{
    (*acceptor)->closed = closed;
    uv_close((uv_handle_t *)&(*acceptor)->poll, on_closed);
    close((*acceptor)->options.fd);
    *acceptor = NULL;
}
