// Every known family of request smuggling as data: what one client sends on one connection, and the requests
// that it unambiguously sent. The same table goes through the relay of tests/http and through the daemon of
// tests/e2e; both ask the reference reader what the backend received.
#pragma once
#include <string>
#include <vector>

namespace desync {

enum class Then {
  open,     // all is answered, the connection stays
  refused,  // a 4xx or 5xx with Connection: close, and no byte behind it is taken for a request
  waits     // for the rest of a body; the backend has seen no end
};

struct Payload {
  std::string family;
  std::string name;
  std::string bytes;
  std::vector<std::string> meant;  // "METHOD host target body" of what the backend may receive
  Then then = Then::refused;
  int status = 400;  // with Then::refused
};

const std::vector<Payload>& payloads();

}  // namespace desync
