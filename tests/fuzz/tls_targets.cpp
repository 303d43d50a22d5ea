// What we read of TLS ourselves: the server name of a ClientHello, and the file with a fleet's ticket keys.
#include <algorithm>

#include "fuzz/targets.h"
#include "net/tls_hello.h"
#include "net/tls_tickets.h"

namespace penstock::fuzz {

void fuzz_server_name(std::string_view bytes) {
  const auto name = net::read_server_name(bytes);
  if (!name) return;
  promise(name->size() <= 255, "a server name is bounded");
  promise(std::ranges::none_of(*name, [](char c) { return c == '\0' || (c >= 'A' && c <= 'Z'); }),
          "a server name is in normal form", *name);
  // All of the extension is the name: two lengths of two bytes, a type of one.
  const std::string_view sent = bytes.substr(std::min<size_t>(5, bytes.size()));
  promise(bytes.size() > 5 && net::normal_server_name(sent) == *name, "nothing is left over", bytes);
  promise(!net::read_server_name(std::string(bytes) + "x"), "nothing may follow", bytes);
  promise(!net::read_server_name(bytes.substr(0, bytes.size() - 1)), "nothing may be missing", bytes);
}

void fuzz_ticket_keys(std::string_view bytes) {
  const auto keys = net::TicketKeys::parse(bytes, "f");
  if (!keys) {
    promise(!keys.error().empty() && keys.error().find('\n') == std::string::npos, "a refusal is one line");
    return;
  }
  const net::TicketKeys& ring = **keys;
  promise(ring.size() >= 1 && ring.size() <= net::TicketKeys::max_keys, "the number of keys is bounded");
  promise(ring.find(ring.encrypting().name.data()) == &ring.encrypting(), "the first key decrypts, too");
  promise(bytes.size() >= ring.size() * 160, "a key is 160 digits");
  // A comment or an empty line changes nothing, a key that is there already is refused.
  const auto same = net::TicketKeys::parse("# keys\n\n" + std::string(bytes), "f");
  promise(same && (*same)->size() == ring.size() && (*same)->encrypting().name == ring.encrypting().name,
          "comments change nothing");
  promise(!net::TicketKeys::parse(std::string(bytes) + "\n" + std::string(bytes), "f"), "keys do not repeat");
}

}  // namespace penstock::fuzz
