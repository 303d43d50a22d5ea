// The BIO between OpenSSL and a socket: reads from bytes that one recv() brought, without a copy of its own,
// and writes into the socket's send queue. Private to net/.
#pragma once
#include <openssl/bio.h>

#include <span>

namespace penstock::net {

class Socket;

struct TlsWire {
  std::span<const char> input;  // ciphertext not consumed yet
  Socket* output = nullptr;     // null: what OpenSSL writes is dropped
};

// The wire must outlive the BIO. Never null.
BIO* make_tls_bio(TlsWire& wire);

}  // namespace penstock::net
