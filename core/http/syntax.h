// SPDX-License-Identifier: Apache-2.0
// The small grammar that every part of an HTTP/1.1 message shares (RFC 9110 §5, RFC 9112 §2).
//
// Pure functions over borrowed bytes; nothing is copied.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/http/request.h"

enum syntax_line {
    KR_SYNTAX_LINE_WHOLE,  // *line is the line without its CRLF
    KR_SYNTAX_LINE_PART,   // no LF up to the bound
    KR_SYNTAX_LINE_BROKEN, // an LF without a CR before it
};

// The line that starts at *at; moves *at behind its CRLF. input is looked at up to bound.
enum syntax_line syntax_take_line(const uint8_t *input, size_t bound, size_t *at,
                                  struct bytes *line);

// Bytes of the token (RFC 9110 §5.6.2) at the front of text; 0 when there is none.
size_t syntax_token_size(struct bytes text);
// Offset of the first control character other than HTAB, or text.size.
size_t syntax_control_at(struct bytes text);
// Puts a space in the place of every one of them.
void syntax_blank_controls(uint8_t *data, size_t size);
// Visible ASCII without '#': what a request target may consist of (RFC 9112 §3.2).
bool syntax_is_target(struct bytes text);
// A host with an optional port (RFC 9110 §7.2): a name of letters, digits, '-', '.', '_', or an IP
// literal in brackets. Narrower than the RFC: no percent-encoding, no list separators.
bool syntax_is_authority(struct bytes text);
// Whether name, whose bytes are those of tokens, is this lower-case text in any case.
bool syntax_is_named(struct bytes name, const char *lower);
// The next item of a comma-separated list (RFC 9110 §5.6.1), without white space; the rest stays in
// *list. Empty items are possible.
struct bytes syntax_take_item(struct bytes *list);

// One "name: value" line. NULL, or a constant phrase that says why it is refused.
const char *syntax_field(struct bytes line, struct http_field *field);
