// SPDX-License-Identifier: Apache-2.0
// What the files of a serving loop share: the loop, a connection, a job. Included by serve*.c,
// accept.c, connection*.c and the skins only.
//
// A turn: read callbacks put bytes into connections and mark them ready; the check hook then
// gathers whole requests of the ready connections into jobs, asks, looks up all together,
// judges, and answers in order (turn.c). A job that cannot be answered in its turn — a management
// call, a look-up in the index, a wait for an index — is suspended: its connection reads and parses
// no further until it has been answered. With HTTP/2, only its stream waits.
#pragma once

#include <pthread.h>
#include <uv.h>

#include "core/http/conn.h"
#include "core/http/http2.h"
#include "core/http/reply.h"
#include "core/tls/tls.h"
#include "node/binary.h"
#include "node/binary_conn.h"
#include "node/credential.h"
#include "node/dispatch.h"
#include "node/listen.h"
#include "node/serve.h"
#include "node/validate.h"
#include "node/waits.h"
#include "node/waker.h"

#define KR_SERVE_JOBS 64
#define KR_SERVE_BODIES_BYTES (256u << 20) // large bodies under way, of all loops
#define KR_SERVE_OUT_LIMIT_BYTES (64u << 20)
#define KR_SERVE_HEAD_BYTES 16384 // of an answer, at most
#define KR_SERVE_BODY_LIMIT_BYTES (KR_SERVE_OUT_LIMIT_BYTES - KR_SERVE_HEAD_BYTES)
#define KR_SERVE_KEPT_BYTES (1u << 20)      // of a buffer that a larger answer has left
#define KR_SERVE_UNTAKEN_BYTES (256u << 20) // answers that are not taken, of all loops
#define KR_SERVE_SEALED_BYTES 65536         // read at a time with TLS or HTTP/2
#define KR_SERVE_TRAILERS_BYTES 16384
#define KR_SERVE_WORKS 256                       // look-ups in the index on the pool
#define KR_CONNECTION_UNSEEN_BYTES (256u << 10)  // received before requests are taken out of it
#define KR_CONNECTION_WRITING_BYTES (256u << 10) // untaken answers above which it is held
#define KR_CONNECTION_READS 16                   // calls under way that change nothing
#define KR_REQUEST_ID_SIZE 25                    // "req_", 20 characters, a NUL
#define KR_REQUEST_ID_COUNT 8                    // of its characters, the last ones: a count
// "Date: ", the date, CRLF, "X-Request-Id: req_", twelve characters.
#define KR_SERVE_OPENING_SIZE (6 + KR_HTTP_DATE_SIZE - 1 + 2 + 18 + 12)

enum connection_state {
    KR_CONNECTION_OPEN,
    KR_CONNECTION_SUSPENDED, // one request is answered later; nothing is read. Not of HTTP/2
    KR_CONNECTION_DRAINING,  // the last answer is being written
    KR_CONNECTION_LINGERING, // our side is closed; what still comes is dropped, for a while
    KR_CONNECTION_CLOSING    // uv_close was called
};

// A TCP or a unix socket.
union serve_socket {
    uv_stream_t stream;
    uv_handle_t handle;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

// What has long answers, and is held up where as much of it is under way on a connection.
enum serve_held {
    KR_HELD_NOT,
    KR_HELD_READ, // a call that changes nothing
    KR_HELD_BATCH,
    KR_HELD_COUNT
};

struct connection {
    struct serve *serve;
    union serve_socket uv;
    int fd; // the socket's
    const struct listener *listener;
    struct tls *tls;                    // NULL: in the clear
    struct connection *previous, *next; // of the loop's list
    struct connection *next_ready;
    struct http_conn *http;     // of these three,
    struct http2 *http2;        // the one that it speaks;
    struct binary_conn *binary; // the others are NULL
    enum connection_state state;
    bool is_ready;   // in the ready list
    bool is_fresh;   // what has come of it, if anything, may be the preface of HTTP/2
    bool has_ended;  // the peer sent its end; what it asked before is still answered
    bool is_trusted; // the peer is a trusted proxy (or the unix socket)
    bool has_peer;
    bool is_counted; // among its address's
    struct cidr_address peer;
    uint64_t deadline_ms;        // uv_now at which the sweep closes it
    size_t writing_bytes;        // not yet taken by the kernel
    size_t left_bytes;           // to be sent when the deadline was last set, and since
    size_t unseen_bytes;         // received since its last turn
    bool has_said_hello;         // the first bytes of TLS have come
    bool is_held;                // its peer takes no answers: no further request until it does
    struct suspended *suspended; // those of its jobs; HTTP/1.1 has one at most
    size_t held[KR_HELD_COUNT];  // with HTTP/2: of those that are under way
    uint64_t wait_index, wait_until_ms; // of a binary frame that waits: for what, and uv_now
    bool is_subscribed;                 // to news of keys that stop being good
    struct connection *next_subscriber;
    uv_shutdown_t shutdown; // of a lingering connection
    size_t dropped_bytes;
};

// One request in its turn.
struct job {
    struct connection *connection;
    struct http2_stream *stream; // NULL: HTTP/1.1
    bool is_suspended;
    enum serve_held held; // it is counted so until it is answered
    bool is_grpc;         // a call of gRPC, whatever its method
    uint64_t deadline_ms; // of such a one: uv_now at which its client waits no longer
    struct http_request request;
    struct dispatch_match match;
    enum kr_err refusal; // not OK: not HTTP, or too large; answer and close
    const char *reason;
    enum kr_err fault; // not OK: the question cannot be read; answered in the job's turn
    const char *fault_text;
    uint64_t started_ns;
    struct validate_question question;
    bool has_question;
    bool wants_protobuf; // the answer's form, as the question's
    uint64_t retry_ms;   // until a refused request may pass; 0: soon
    struct credential credential;
};

enum suspended_kind { KR_SUSPENDED_CALL, KR_SUSPENDED_INDEX, KR_SUSPENDED_WAIT };

// A job that outlives its turn, on the heap.
struct suspended {
    enum suspended_kind kind;
    struct serve *serve;
    struct job job;
    struct suspended *previous, *next; // of the loop's list of waits, or of the answered queue
    struct suspended *next_of_connection;
    struct call *call;      // CALL
    struct arena arena;     // INDEX: what was found
    enum kr_err found_err;  // INDEX
    uv_work_t work;         // INDEX
    uint64_t wait_until_ms; // WAIT: uv_now
    bool is_abandoned;      // the connection is gone
};

// A socket that accepts; several belong to a loop.
struct listener {
    struct acceptor *acceptor; // NULL: not open
    struct serve *serve;
    unsigned serves; // of enum dispatch_serves
    bool is_unix, is_binary, is_tls, needs_client;
};

// Connections that have something to be looked at, in the order in which they came.
struct serve_line {
    struct connection *first, **last;
};

struct serve {
    struct node *node;
    struct metrics *metrics;
    size_t number;
    uv_loop_t loop;
    pthread_t thread;
    bool is_started;
    atomic_bool is_running;
    struct listener listeners[KR_LISTEN_COUNT], unix_listeners[KR_LISTEN_COUNT];
    struct binary *binary; // that protocol's part of the loop
    uv_check_t check;
    uv_idle_t spin; // active when a connection became ready outside the poll phase
    uv_timer_t sweep;
    uv_timer_t wait; // active while suspended waits exist
    struct waker waker;

    struct connection *connections;
    size_t connection_count;
    struct serve_line ready;
    struct suspended *waits;
    struct waits wait_bounds; // of those
    size_t works;             // index look-ups on the pool
    size_t calls;             // handed to the control loop
    size_t writing_bytes;     // of all connections
    size_t untaken_bound;     // of bytes of answers that are not taken

    pthread_mutex_t answered_lock;
    struct suspended *answered; // by the control loop; newest first

    struct job jobs[KR_SERVE_JOBS];
    size_t job_count;
    struct validate_question *batch; // KR_VALIDATION_BATCH_MAX of them, for $batch
    struct buf out;                  // answers of the connection being served
    struct buf body;                 // the body being rendered
    struct arena scratch;            // of one job whose body needs a parser
    struct http_pool *pool;
    struct http2_streams *streams;
    struct buf trailers;                      // of the HTTP/2 answer that is in `out`
    uint8_t dropped[4096];                    // where lingering connections read to
    uint8_t sealed_in[KR_SERVE_SEALED_BYTES]; // what was read from one with TLS, or with HTTP/2
    struct buf sealed_out;                    // what is to be sent to the one being served
    struct http_conn_options http_options;

    char date[KR_HTTP_DATE_SIZE];
    int64_t now_ms;     // wall clock, read once a turn
    uint64_t boot_ms;   // boot clock, read behind the look-ups of the questions being answered
    uint64_t round_ns;  // when the requests being answered were taken out of their connections
    int64_t date_s;     // of `date`
    char id_prefix[13]; // of request ids: random a loop
    // "Date: …", and "X-Request-Id: …" up to the count: what opens every answer of this second.
    char opening[KR_SERVE_OPENING_SIZE];
    uint64_t id_count;
    uint64_t tells_route_ms; // uv_now at which the next unreadable question of a route is told
    struct buf node_json;
    atomic_bool is_asked_to_stop; // by any thread, before the wake
    bool is_stopping;
    uint64_t stop_at_ms; // uv_now
};

// --- accept.c ------------------------------------------------------------------------------------
// Accepts connections at this bound socket, which is taken. IO: errno says why it cannot.
must_use enum kr_err accept_open(struct listener *listener, int fd);
void accept_tick(struct listener *listener); // some ten times a second
void accept_close(struct listener *listener);

// --- connection.c --------------------------------------------------------------------------------
// Reads from its socket, fd, from now on; the connection is the loop's.
void connection_begin(struct connection *connection);
// Where its protocol takes bytes in, in the clear; *size is 0 while it is full. Lends until filled.
uint8_t *connection_space(struct connection *connection, size_t *size);
void connection_filled(struct connection *connection, size_t size);
void connection_ended(struct connection *connection);      // its peer sends nothing any more
void connection_mark_ready(struct connection *connection); // stands in its protocol's line
// The same, from a timer or behind a write: nothing else would wake the loop for what is buffered.
void connection_wake(struct connection *connection);
void serve_line_init(struct serve_line *line);
struct connection *serve_line_take(struct serve_line *line); // NULL: nobody is ready
// Writes what serve->out holds for this connection and empties it.
void connection_flush(struct connection *connection);
// Its next request is due: at once, or once the peer has taken the answers that wait for it.
void connection_go_on(struct connection *connection);
void connection_resume(struct connection *connection); // reads and goes on again
void connection_close(struct connection *connection);
void connection_deadline(struct connection *connection); // sets it from the state
// What it owes is to be taken within the time of a request, however much an idle one has left.
void connection_hurry(struct connection *connection);
void connection_sweep(uv_timer_t *timer); // closes what is past its deadline

// More answers are untaken than this connection may have at the moment.
bool connection_owes(const struct connection *connection);
// A peer that takes no answers: no further request is read until it does. False: it takes them.
bool connection_hold(struct connection *connection);
// Its suspended jobs are answered to nobody.
void connection_abandon(struct connection *connection);
// Gives a peer more time that takes its answers.
void connection_progress(struct connection *connection);

// Sends, now or as the peer takes it; false: the connection was broken, and is closed.
bool connection_send(struct connection *connection, struct bytes wire);

// --- connection_tls.c ----------------------------------------------------------------------------
// Starts TLS on a connection of such a listener.
void connection_tls_begin(struct connection *connection);
bool connection_tls_is_shaking_hands(const struct connection *connection);
// Takes in so many bytes of serve->sealed_in. False: it was closed.
bool connection_tls_received(struct connection *connection, size_t size);
// Hands on what was received and found no space.
void connection_tls_unseal(struct connection *connection);
bool connection_tls_has_more(const struct connection *connection); // is there any such?
// What serve->out holds, as it goes over the wire; lends serve->sealed_out. False: that failed.
bool connection_tls_seal(struct connection *connection, struct bytes *wire);
void connection_tls_goodbye(struct connection *connection); // before our side is closed

// --- connection_http2.c --------------------------------------------------------------------------
// Speaks HTTP/2 from its first byte on.
void connection_http2_begin(struct connection *connection);
// Does so when what was received is its preface; is_fresh stays true while it may become it.
void connection_http2_recognize(struct connection *connection);
// Takes in plain bytes, which are zeroed.
void connection_http2_received(struct connection *connection, uint8_t *plain, size_t size);
// Answers a job's stream with what serve->out and serve->trailers hold, and empties them.
void connection_http2_answer(struct job *job);
// Ends the streams that keep us waiting. Each sweep.
void connection_http2_sweep(struct connection *connection);
// Sends what there is to send, as far as the peer takes it; closes what is over.
void connection_http2_settle(struct connection *connection, bool has_answered);
// No new streams; it is closed once those that are there are answered.
void connection_http2_leave(struct connection *connection);

// --- turn.c --------------------------------------------------------------------------------------
void turn_run(struct serve *serve);            // empties the ready list
void turn_finish(struct suspended *suspended); // answers a suspended job, resumes
void turn_request_id(struct serve *serve, char out[KR_REQUEST_ID_SIZE]);
// The last characters of the next request id, behind those that the opening ends with.
void turn_request_count(struct serve *serve, char out[KR_REQUEST_ID_COUNT]);
// Counts the answer in the metrics; every answer goes through it.
void turn_count(struct job *job, unsigned status);

// --- suspend.c -----------------------------------------------------------------------------------
struct suspended *suspend_job(struct job *job, enum suspended_kind kind);
void suspend_end(struct suspended *suspended); // its connection waits for it no longer
void suspend_free(struct suspended **suspended);
// Until ask.min_index, at most a second. False: too many wait already, and it is not suspended.
bool suspend_wait(struct job *job);
// Asks the index on the pool. False: it is asked too much already, and the job is not suspended.
bool suspend_index(struct job *job);

// --- serve_call.c --------------------------------------------------------------------------------
// Builds the management call and hands it to the control loop, or answers 401/403/429 at once.
void serve_call_begin(struct job *job);
#define KR_UNTAKEN_TEXT "too many answers wait for clients that do not take them; try again"
// Do answers that clients do not take fill the memory that is for them? Half of it is for changes.
bool serve_call_owes(const struct serve *serve, bool is_change);
// What the request's token may do; false: it has none, more than one, or none that is good.
bool serve_call_token(const struct serve *serve, const struct http_request *request,
                      struct access *actor);
// Why a request is refused that has no good token, and may be refused longer (job->retry_ms): a
// wrong one is counted against its address.
enum kr_err serve_call_unknown(struct job *job, const char **reason);
// May this request bring all the body that its route takes? Else only what costs no memory.
bool serve_call_admits(const struct serve *serve, const struct route *route,
                       const struct http_request *request);
// A body was refused for its size: says so, unless it was for want of a token.
void serve_call_refused(struct job *job);
void serve_call_reply(struct suspended *suspended); // writes the call's answer
void serve_call_drain(struct serve *serve);         // answered calls; on the loop
// Gives up what the connection's client has asked to read and waits for no longer. Each sweep.
void serve_call_sweep(struct connection *connection);
void serve_call_give_up(struct suspended *suspended); // nobody waits for its answer

// --- serve_reply.c -------------------------------------------------------------------------------
// A problem+json answer (API §1.3).
void serve_reply_problem(struct job *job, enum kr_err err, const char *detail);
void serve_reply_probe(struct job *job); // /healthz, /readyz
// Opens an answer that nobody may keep, with Date and X-Request-Id; the caller adds fields and ends
// it.
void serve_reply_begin(struct job *job, unsigned status);

// --- serve_validate.c ----------------------------------------------------------------------------
// Reads the question from the request. False: the job's fault says why, and the reply function
// tells it. Nothing is written here: the answers of other connections come first.
bool serve_validate_ask(struct job *job);
void serve_validate_reply(struct job *job);
void serve_validate_batch(struct job *job); // the whole of $batch, answered
// The same with the message of a gRPC call; answers go to the end of serve->body.
bool serve_validate_ask_message(struct job *job, struct bytes message);
void serve_validate_message(struct job *job);
must_use enum kr_err serve_validate_batch_message(struct job *job, struct bytes message,
                                                  struct fault *fault);

// --- serve_grpc.c --------------------------------------------------------------------------------
// Does the request say of itself that it is a call of gRPC?
bool serve_grpc_is_call(const struct http_request *request);
// Reads the question from its message. False: there is nothing to look up, and the reply function
// says why, or answers without.
bool serve_grpc_ask(struct job *job);
void serve_grpc_reply(struct job *job);
void serve_grpc_refuse(struct job *job); // a call that was refused, or of a method that is not here

// --- authz.c -------------------------------------------------------------------------------------
// Finds the credential, the client's address and the route's parameters. False: there is nothing to
// look up, and the reply function says why.
bool authz_ask(struct job *job);
void authz_forward_reply(struct job *job);
void authz_nginx_reply(struct job *job);
void authz_haproxy_reply(struct job *job);
