// SPDX-License-Identifier: Apache-2.0
// Requests that two servers could read differently, and how each is refused.
//
// tests/integration/smuggling.json is the same table for the tests of the whole program; a unit
// test compares the two.
#pragma once

#include <stddef.h>

#include "core/base/err.h"

struct smuggling_case {
    const char *name;
    const char *request;
    size_t size;
    enum kr_err err;
};

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define CHUNKED POST HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CASE(name, request, err)                                                                   \
    {                                                                                              \
        name, request, sizeof(request) - 1, KR_ERR_##err                                           \
    }

static const struct smuggling_case smuggling_cases[] = {
    // Which length counts (RFC 9112 §6.1, §6.3)
    CASE("Content-Length before Transfer-Encoding",
         POST HOST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", INVALID),
    CASE("Transfer-Encoding before Content-Length",
         POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", INVALID),
    CASE("two Content-Length fields that differ",
         POST HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", INVALID),
    CASE("two Content-Length fields that agree",
         POST HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", INVALID),
    CASE("a list in Content-Length", POST HOST "Content-Length: 2, 2\r\n\r\nab", INVALID),
    CASE("Content-Length with a plus sign", POST HOST "Content-Length: +2\r\n\r\nab", INVALID),
    CASE("Content-Length with a minus sign", POST HOST "Content-Length: -2\r\n\r\nab", INVALID),
    CASE("Content-Length with a space inside", POST HOST "Content-Length: 1 2\r\n\r\nab", INVALID),
    CASE("Content-Length in hexadecimal", POST HOST "Content-Length: 0x2\r\n\r\nab", INVALID),
    CASE("Content-Length with a leading zero", POST HOST "Content-Length: 02\r\n\r\nab", INVALID),
    CASE("Content-Length with a fraction", POST HOST "Content-Length: 2.0\r\n\r\nab", INVALID),
    CASE("Content-Length of 2^64", POST HOST "Content-Length: 18446744073709551616\r\n\r\nab",
         INVALID),
    CASE("Content-Length of 2^64 + 2", POST HOST "Content-Length: 18446744073709551618\r\n\r\nab",
         INVALID),
    CASE("Content-Length over any limit",
         POST HOST "Content-Length: 18446744073709551615\r\n\r\nab", TOO_LARGE),
    CASE("an empty Content-Length", POST HOST "Content-Length:\r\n\r\n", INVALID),
    CASE("Content-Length with a form feed", POST HOST "Content-Length: 2\f\r\n\r\nab", INVALID),
    CASE("a coding list that ends in chunked",
         POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNSUPPORTED),
    CASE("chunked twice in one field",
         POST HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", UNSUPPORTED),
    CASE("chunked twice in two fields",
         POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         INVALID),
    CASE("identity behind chunked",
         POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
         INVALID),
    CASE("chunked that is not last", POST HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
         UNSUPPORTED),
    CASE("the coding xchunked", POST HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
         UNSUPPORTED),
    CASE("the coding identity", POST HOST "Transfer-Encoding: identity\r\n\r\n", UNSUPPORTED),
    CASE("a quoted chunked", POST HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
         UNSUPPORTED),
    CASE("chunked with a parameter", POST HOST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
         UNSUPPORTED),
    CASE("chunked behind a comma", POST HOST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
         UNSUPPORTED),
    CASE("an empty Transfer-Encoding", POST HOST "Transfer-Encoding:\r\n\r\n", UNSUPPORTED),
    CASE("chunked behind a vertical tab", POST HOST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
         INVALID),
    CASE("chunked under HTTP/1.0",
         "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", INVALID),
    // Lines (RFC 9112 §2.2, §5)
    CASE("a folded field", GET HOST "X: 1\r\n 2\r\n\r\n", INVALID),
    CASE("a field folded by a tab", GET HOST "X: 1\r\n\t2\r\n\r\n", INVALID),
    CASE("a folded Transfer-Encoding", POST HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
         INVALID),
    CASE("white space before the first field", GET " " HOST "\r\n", INVALID),
    CASE("bare LF behind the request line", "GET / HTTP/1.1\n" HOST "\r\n", INVALID),
    CASE("bare LF behind a field", GET HOST "X: 1\nY: 2\r\n\r\n", INVALID),
    CASE("bare LF as the empty line", GET HOST "\n", INVALID),
    CASE("bare CR in a field value", GET HOST "X: 1\rY: 2\r\n\r\n", INVALID),
    CASE("bare CR before the line's end", GET HOST "X: 1\r\r\n\r\n", INVALID),
    CASE("bare CR in the request line", "GET /\r HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("CR in front of a field name", GET HOST "\rTransfer-Encoding: chunked\r\n\r\n", INVALID),
    CASE("NUL in a field value", GET HOST "X: a\0b\r\n\r\n", INVALID),
    CASE("NUL in a field name", GET HOST "X\0: a\r\n\r\n", INVALID),
    CASE("NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("NUL behind chunked", POST HOST "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", INVALID),
    CASE("DEL in a field value", GET HOST "X: a\x7f\r\n\r\n", INVALID),
    CASE("a space before the colon", POST HOST "Content-Length : 2\r\n\r\nab", INVALID),
    CASE("a tab before the colon", POST HOST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
         INVALID),
    CASE("an empty field name", GET HOST ": 1\r\n\r\n", INVALID),
    CASE("a field without a colon", GET HOST "Transfer-Encoding chunked\r\n\r\n", INVALID),
    CASE("a field name with a slash", GET HOST "X/Y: 1\r\n\r\n", INVALID),
    CASE("a field name beyond ASCII", GET HOST "X\xc3\xa9: 1\r\n\r\n", INVALID),
    CASE("two empty lines before the request", "\r\n\r\n" GET HOST "\r\n", INVALID),
    CASE("a bare LF before the request", "\n" GET HOST "\r\n", INVALID),
    CASE("white space before the request", " " GET HOST "\r\n", INVALID),
    // The request line (RFC 9112 §3)
    CASE("two spaces behind the method", "GET  / HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("two spaces before the version", "GET /  HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a tab behind the method", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a space behind the version", "GET / HTTP/1.1 \r\n" HOST "\r\n", INVALID),
    CASE("a space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a fragment in the target", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a target beyond ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a method that is no token", "GE(T / HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a version in lower case", "GET / http/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a version of two digits", "GET / HTTP/1.10\r\n" HOST "\r\n", INVALID),
    CASE("the version HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", UNSUPPORTED),
    CASE("the version HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", UNSUPPORTED),
    CASE("the request line of HTTP/2's preface", "PRI * HTTP/2.0\r\n" HOST "\r\n", UNSUPPORTED),
    CASE("HTTP/0.9", "GET /\r\n", INVALID),
    CASE("a TLS hello", "\x16\x03\x01\x02", INVALID),
    CASE("CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", UNSUPPORTED),
    CASE("a relative target", "GET a HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("the asterisk for GET", "GET * HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("a file URL", "GET file:///a HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("an absolute target of another host", "GET http://b/ HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("an absolute target of another port", "GET http://a:81/ HTTP/1.1\r\n" HOST "\r\n",
         INVALID),
    CASE("an absolute target with a user", "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", INVALID),
    CASE("an absolute target without a host", "GET http:///x HTTP/1.1\r\n" HOST "\r\n", INVALID),
    // Host (RFC 9112 §3.2)
    CASE("no Host", GET "\r\n", INVALID),
    CASE("an empty Host", GET "Host:\r\n\r\n", INVALID),
    CASE("two Hosts that differ", GET HOST "Host: b\r\n\r\n", INVALID),
    CASE("two Hosts that agree", GET HOST HOST "\r\n", INVALID),
    CASE("a list in Host", GET "Host: a, b\r\n\r\n", INVALID),
    CASE("Host with a user", GET "Host: u@a\r\n\r\n", INVALID),
    CASE("Host with a path", GET "Host: a/b\r\n\r\n", INVALID),
    CASE("Host with a space", GET "Host: a b\r\n\r\n", INVALID),
    CASE("Host with an empty port", GET "Host: a:\r\n\r\n", INVALID),
    CASE("Host with a port of letters", GET "Host: a:x\r\n\r\n", INVALID),
    CASE("Host with an open bracket", GET "Host: [::1\r\n\r\n", INVALID),
    // Chunks (RFC 9112 §7.1)
    CASE("bare LF behind a chunk size", CHUNKED "1\na\r\n0\r\n\r\n", INVALID),
    CASE("bare LF behind a chunk", CHUNKED "1\r\na\n0\r\n\r\n", INVALID),
    CASE("bare LF behind the last chunk", CHUNKED "0\r\n\n", INVALID),
    CASE("chunks framed by LF alone", CHUNKED "1\na\n0\n\n", INVALID),
    CASE("bare CR behind a chunk size", CHUNKED "1\ra\r\n0\r\n\r\n", INVALID),
    CASE("no line end behind a chunk", CHUNKED "1\r\na0\r\n\r\n", INVALID),
    CASE("a chunk longer than its size", CHUNKED "1\r\nab\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size over 64 bits", CHUNKED "10000000000000001\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size over any limit", CHUNKED "ffffffffffffffff\r\na\r\n0\r\n\r\n", TOO_LARGE),
    CASE("a chunk size with a plus sign", CHUNKED "+1\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size with a minus sign", CHUNKED "-1\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size with 0x", CHUNKED "0x1\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size behind a space", CHUNKED " 1\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size before a space", CHUNKED "1 \r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size before a tab", CHUNKED "1\t\r\na\r\n0\r\n\r\n", INVALID),
    CASE("an empty chunk size", CHUNKED "\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a chunk size of letters", CHUNKED "g\r\na\r\n0\r\n\r\n", INVALID),
    CASE("an extension without a size", CHUNKED ";a=b\r\n\r\n", INVALID),
    CASE("a space before an extension", CHUNKED "1 ;a=b\r\na\r\n0\r\n\r\n", INVALID),
    CASE("an extension with CR", CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n", INVALID),
    CASE("an extension with LF", CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n", INVALID),
    CASE("an extension with NUL", CHUNKED "1;a\0b\r\na\r\n0\r\n\r\n", INVALID),
    CASE("a trailer without a colon", CHUNKED "0\r\nX\r\n\r\n", INVALID),
    CASE("a folded trailer", CHUNKED "0\r\nX: 1\r\n 2\r\n\r\n", INVALID),
    CASE("a trailer with a space before the colon", CHUNKED "0\r\nX : 1\r\n\r\n", INVALID),
    CASE("a trailer with bare CR", CHUNKED "0\r\nX: 1\r2\r\n\r\n", INVALID),
    CASE("Content-Length in the trailer", CHUNKED "0\r\nContent-Length: 5\r\n\r\n", INVALID),
    CASE("Transfer-Encoding in the trailer", CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n",
         INVALID),
    CASE("Host in the trailer", CHUNKED "0\r\nHost: b\r\n\r\n", INVALID),
};

#undef GET
#undef POST
#undef HOST
#undef CHUNKED
#undef CASE

#define KR_SMUGGLING_CASE_COUNT (sizeof(smuggling_cases) / sizeof(smuggling_cases[0]))
