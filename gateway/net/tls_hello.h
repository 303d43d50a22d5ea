// What we read of a ClientHello ourselves: the server name, needed before OpenSSL has looked for a session.
// Bytes in, values out; knows no connection. Any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace penstock::net {

// A server name in the form that names are compared in: lower case, no final dot.
std::string normal_server_name(std::string_view name);

// The one name of a server_name extension (RFC 6066 3), in normal form; nothing: the extension is malformed.
std::optional<std::string> read_server_name(std::string_view extension);

}  // namespace penstock::net
