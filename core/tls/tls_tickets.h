// SPDX-License-Identifier: Apache-2.0
// The keys of session tickets, as OpenSSL asks for them.
#pragma once

#include <openssl/ssl.h>

#include "core/tls/tls_server.h"

struct tls_tickets *tls_tickets_share(struct tls_tickets *tickets); // one reference more

// OpenSSL's ticket callback; the tickets are the app data of the connection's SSL_CTX.
int tls_tickets_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int is_encrypting);
