#include "proxy/attribute.h"

#include <array>
#include <utility>

namespace penstock::proxy {
namespace {

using enum AttributeKind;
constexpr std::array<std::pair<std::string_view, AttributeKind>, 20> plain{{
    {"client.address", client_address},
    {"consumer.id", consumer_id},
    {"consumer.groups", consumer_groups},
    {"request.method", request_method},
    {"request.id", request_id},
    {"request.scheme", request_scheme},
    {"request.host", request_host},
    {"request.path", request_path},
    {"request.query", request_query},
    {"request.size", request_size},
    {"request.protocol", request_protocol},
    {"response.status", response_status},
    {"response.size", response_size},
    {"reason", reason},
    {"route.name", route_name},
    {"upstream.name", upstream_name},
    {"endpoint.address", endpoint_address},
    {"api.version", api_version},
    {"duration.total", duration_total},
    {"listener.name", listener_name},
}};
constexpr std::array<std::pair<std::string_view, AttributeKind>, 5> named{{
    {"header.", header},
    {"query.", query},
    {"cookie.", cookie},
    {"path.", path_parameter},
    {"claim.", claim},
}};

bool token(std::string_view text) {  // RFC 9110 5.6.2
  if (text.empty()) return false;
  for (unsigned char c : text) {
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum &&
        (c == 0 || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) == std::string_view::npos))
      return false;
  }
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

bool has_control_byte(std::string_view text) {
  for (unsigned char c : text)
    if (c < 0x20 || c == 0x7f) return true;
  return false;
}

std::optional<Attribute> Attribute::parse(std::string_view text) {
  for (const auto& [name, kind] : plain)
    if (name == text) return Attribute{kind, {}, http::HeaderId::other};
  for (const auto& [prefix, kind] : named) {
    if (!text.starts_with(prefix) || text.size() == prefix.size()) continue;
    std::string_view rest = text.substr(prefix.size());
    if (kind != AttributeKind::header) return Attribute{kind, std::string(rest), http::HeaderId::other};
    if (!token(rest)) return std::nullopt;
    std::string name = lower(rest);
    http::HeaderId id = http::header_id(name);
    return Attribute{kind, std::move(name), id};
  }
  return std::nullopt;
}

std::string Attribute::text() const {
  for (const auto& [prefix, k] : named)
    if (k == kind) return std::string(prefix) + name;
  for (const auto& [text, k] : plain)
    if (k == kind) return std::string(text);
  return {};
}

uint32_t Names::attribute_id(std::string_view text) {
  auto parsed = Attribute::parse(text);
  if (!parsed) return 0;
  return attributes.intern(parsed->text(), [&](std::string_view) { return *parsed; });
}

uint32_t Names::header_id(std::string_view name) {
  if (!token(name)) return 0;
  std::string lowered = lower(name);
  return headers.intern(lowered,
                        [](std::string_view n) { return Header{std::string(n), http::header_id(n)}; });
}

}  // namespace penstock::proxy
