// The vocabulary of attributes (LANGUAGE.md): what keys, templates, split_by, conditions and plugins can ask
// of a request. Compiled once from text while a configuration is built; read per request without comparing
// names.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/headers.h"
#include "proxy/name_table.h"

namespace penstock::proxy {

enum class AttributeKind : uint8_t {
  client_address,
  consumer_id,
  consumer_groups,
  request_method,
  request_id,
  request_scheme,
  request_host,
  request_path,
  request_query,
  request_size,
  request_protocol,
  response_status,
  response_size,
  reason,
  route_name,
  upstream_name,
  endpoint_address,
  api_version,
  duration_total,
  listener_name,
  header,
  query,
  cookie,
  path_parameter,
  claim
};

struct Attribute {
  AttributeKind kind = AttributeKind::client_address;
  std::string name;  // behind the dot: NAME of header.NAME (lower case) and so on
  http::HeaderId header = http::HeaderId::other;  // of header.NAME when it is a known one
  // nullopt: not in the vocabulary.
  static std::optional<Attribute> parse(std::string_view text);
  std::string text() const;
};

// Below 0x20 or 0x7f: nothing that may stand in a header field or a line of text.
bool has_control_byte(std::string_view text);

// Names that plugins and configuration have asked for, as ids; owned by the server, shared by all snapshots.
struct Names {
  NameTable<Attribute> attributes;
  struct Header {
    std::string name;  // lower case
    http::HeaderId id = http::HeaderId::other;
  };
  NameTable<Header> headers;

  uint32_t attribute_id(std::string_view text);  // 0: not in the vocabulary
  uint32_t header_id(std::string_view name);     // 0: not a field name (RFC 9110 5.1)
};

}  // namespace penstock::proxy
