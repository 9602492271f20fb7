// SPDX-License-Identifier: Apache-2.0
// The error table's look-ups.
#include "core/base/err.h"

#include <errno.h>

const char *err_text(enum kr_err err)
{
    switch (err) {
#define X(name, text, status)                                                                      \
    case KR_ERR_##name:                                                                            \
        return text;
        KR_ERR_TABLE(X)
#undef X
    }
    return "unknown error";
}

unsigned err_http_status(enum kr_err err)
{
    switch (err) {
#define X(name, text, status)                                                                      \
    case KR_ERR_##name:                                                                            \
        return status;
        KR_ERR_TABLE(X)
#undef X
    }
    return 500;
}

enum kr_err err_from_errno(int number)
{
    if (number == ENOSPC || number == EDQUOT)
        return KR_ERR_DISK_FULL;
    if (number == ENOENT)
        return KR_ERR_NOT_FOUND;
    return KR_ERR_IO;
}
