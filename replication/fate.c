// SPDX-License-Identifier: Apache-2.0
// What an error of the engine or of the state means.
#include "replication/fate.h"

enum kr_err fate_of(enum kr_err err)
{
    if (err == KR_ERR_OK || err == KR_ERR_DISK_FULL || err == KR_ERR_BUSY)
        return err;
    if (err == KR_ERR_NO_LEADER || err == KR_ERR_CORRUPT || err == KR_ERR_VERSION)
        return KR_ERR_NO_LEADER;
    return KR_ERR_TIMEOUT;
}

bool fate_is_survivable(enum kr_err err)
{
    return err == KR_ERR_NO_LEADER || err == KR_ERR_DISK_FULL || err == KR_ERR_BUSY ||
           err == KR_ERR_TIMEOUT;
}
