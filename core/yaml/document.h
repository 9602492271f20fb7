// SPDX-License-Identifier: Apache-2.0
// A YAML document read by a libcyaml schema, and where it is wrong.
//
// Who calls writes the schema, and makes its own words of a complaint.
#pragma once

#include "core/base/buf.h"

struct cyaml_schema_value;

// The first error, and the line on which libcyaml saw it; 0: the document as a whole.
struct document_complaint {
    char text[160];
    unsigned line;
};

// Sets *out to the document, or to NULL when there is none. Gives: document_free, whatever is
// returned. INVALID: see complaint.
must_use enum kr_err document_load(struct bytes text, const struct cyaml_schema_value *schema,
                                   void **out, struct document_complaint *complaint);
void document_free(const struct cyaml_schema_value *schema, void *document); // NULL: nothing
