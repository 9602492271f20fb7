// SPDX-License-Identifier: Apache-2.0
// Reads the chunks of a snapshot ahead, on a thread of its own, so that no disk and no
// decompression holds up the control loop, whose commits and leases concern everybody.
//
// One chunk waits while the one before it is sent: 0.5 MiB, or what two rows take that are larger.
// Control loop only; the thread is begun with the first chunk that is asked for.
#pragma once

#include "core/store/store_snapshot.h"

struct export_reader;

// Takes export, gives. wake is called on the thread when a chunk, or the end, has come. NULL: there
// is no thread, and a chunk is read when it is asked for.
struct export_reader *export_reader_new(struct store_export *export, void (*wake)(void *ctx),
                                        void *ctx);
void export_reader_position(const struct export_reader *reader, struct store_position *out);
// The next chunk, lent until the next call. BUSY: it is being read, and wake comes. NOT_FOUND
// behind the last one. Else as store_export_next.
must_use enum kr_err export_reader_next(struct export_reader *reader, struct store_chunk *out,
                                        struct fault *fault);
// As store_export_seek; what was read ahead is forgotten.
must_use enum kr_err export_reader_seek(struct export_reader *reader, uint8_t family,
                                        struct bytes last_key, struct fault *fault);
// Of the chunks that were given.
void export_reader_progress(const struct export_reader *reader, struct store_export_progress *out);
// Waits for the chunk that is being read.
void export_reader_free(struct export_reader **reader);
