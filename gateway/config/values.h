// The small values that configuration structs are made of: secrets, addresses, attributes, templates.
// Plain data without I/O; parsed by parse_values.h, owned by the Config that holds them.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/node.h"

namespace penstock::config {

using Duration = std::chrono::milliseconds;

// A text that must not be printed; there is no formatter for it on purpose.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  std::string_view reveal() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

// An address to listen on: an IP literal without brackets (port 0: the system chooses), or a unix socket.
struct Address {
  std::string host;
  uint16_t port = 0;
  bool ipv6 = false;
  bool loopback = false;
  std::string unix_path;  // not empty: nothing of the above but loopback
  bool operator==(const Address&) const = default;
};

// A network such as 10.0.0.0/8. IPv4 fills the first four bytes; bits beyond `prefix_bits` are zero.
struct Network {
  bool unix_peers = false;  // not a network: whoever comes through a unix socket
  std::array<uint8_t, 16> bytes{};
  uint8_t prefix_bits = 0;
  bool ipv6 = false;
};

// A file named in the configuration: absolute, or relative to the working directory where the configuration
// was named so.
struct FilePath {
  std::string path;
  Position at;
};

// The one vocabulary for keys, templates, `from`, `split_by` and hashing.
enum class AttributeKind : uint8_t {
  client_address,
  consumer_id,
  consumer_groups,
  request_method,
  request_id,
  header,  // with a name, lower case
  query,   // with a name
  cookie,  // with a name
  path,    // with a name: a path parameter
  claim,   // with a name
  api_version,
  route_name,
  upstream_name,
  endpoint_address
};

struct Attribute {
  AttributeKind kind = AttributeKind::client_address;
  std::string name;  // of header, query, cookie, path, claim; empty for the others
  bool operator==(const Attribute&) const = default;
};

// "client.address", "header.x-tenant"
std::string to_text(const Attribute& attribute);

// A text with {attributes}: pieces in order. A piece is literal text or an attribute, never both.
struct TemplatePiece {
  enum class Kind : uint8_t { literal, attribute };
  Kind kind = Kind::literal;
  std::string text;
  Attribute attribute;
};
struct Template {
  std::vector<TemplatePiece> pieces;
  Position at;
  bool secret = false;  // not to be printed
  bool constant() const {
    return pieces.empty() || (pieces.size() == 1 && pieces[0].kind == TemplatePiece::Kind::literal);
  }
};

// A field name (lower case) and the template of its value.
struct HeaderTemplate {
  std::string name;
  Template value;
};

}  // namespace penstock::config
