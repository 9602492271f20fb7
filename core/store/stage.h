// SPDX-License-Identifier: Apache-2.0
// The stage: changes of a commit that are not written yet, over the index that they will change.
//
// Each row that is touched is read from disk at most once and written at most once, however many
// entries of the commit touch it. Marks undo what one entry did. Chosen over RocksDB's own indexed
// batch, which keeps every version of a row that is written twice, re-indexes everything on an
// undo, and remembers no reads. One thread; nothing else may write these families meanwhile.
#pragma once

#include "core/store/index.h"

struct stage;

struct stage *stage_new(struct index *index); // gives; keeps index
void stage_free(struct stage **stage);
// Forgets everything: the start of a commit.
void stage_clear(struct stage *stage);

// The row as the commit sees it, lent until stage_clear. False: not there, or damage
// (stage_result).
bool stage_get(struct stage *stage, enum index_family family, struct bytes key,
               struct bytes *value);
// The caller knows that the index does not hold this row; unless the commit has touched it, it will
// not be looked for.
void stage_assume_absent(struct stage *stage, enum index_family family, struct bytes key);
// Has the commit put or deleted this row?
bool stage_is_changed(const struct stage *stage, enum index_family family, struct bytes key);
void stage_put(struct stage *stage, enum index_family family, struct bytes key, struct bytes value);
void stage_delete(struct stage *stage, enum index_family family, struct bytes key);
// Has KEYS a row that begins with these KR_DIGEST_UNIQUE_BYTES? may_be_in_index false: the
// caller knows that the index has none.
bool stage_has_key(struct stage *stage, struct bytes start, bool may_be_in_index);
// The first row ≥ from whose key begins with prefix; from may be empty.
bool stage_first(struct stage *stage, enum index_family family, struct bytes prefix,
                 struct bytes from, struct bytes *key);

size_t stage_mark(const struct stage *stage);
void stage_undo(struct stage *stage, size_t mark); // everything since the mark

// Damage that a read has met since stage_clear; every read answers "not there" behind it.
must_use enum kr_err stage_result(const struct stage *stage, struct fault *fault);
// Puts every changed row into the batch.
void stage_write(struct stage *stage, struct index_batch *batch);
