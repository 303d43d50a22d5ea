// The stable reason codes of the core: the same text in the access log, the metric label, the problem+json
// body and in explain. Plugins bring their own codes (auth.*, limit.*, version.*); these are the ones that
// the core itself uses. Every code is static text: a std::string_view to one lives for ever and may be
// compared by value.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock {

// One row of the table: the code, the status that a client sees and the line on the reference page.
struct ReasonRow {
  std::string_view code;
  uint16_t status;
  std::string_view meaning;
};

namespace reason {
inline constexpr std::string_view request_malformed = "request.malformed";
inline constexpr std::string_view request_misdirected = "request.misdirected";
inline constexpr std::string_view request_unsupported_method = "request.unsupported_method";
inline constexpr std::string_view request_header_too_large = "request.header_too_large";
inline constexpr std::string_view request_uri_too_long = "request.uri_too_long";
inline constexpr std::string_view request_body_too_large = "request.body_too_large";
inline constexpr std::string_view request_timeout = "request.timeout";
inline constexpr std::string_view request_deadline = "request.deadline";
inline constexpr std::string_view request_expectation = "request.expectation";
inline constexpr std::string_view request_upgrade = "request.upgrade";
inline constexpr std::string_view request_loop = "request.loop";
inline constexpr std::string_view route_none = "route.none";
inline constexpr std::string_view route_method = "route.method";
inline constexpr std::string_view auth_missing = "auth.missing";
inline constexpr std::string_view auth_forbidden = "auth.forbidden";
inline constexpr std::string_view version_missing = "version.missing";
inline constexpr std::string_view version_unknown = "version.unknown";
inline constexpr std::string_view limit_rate = "limit.rate";
inline constexpr std::string_view upstream_connect_refused = "upstream.connect.refused";
inline constexpr std::string_view upstream_connect_timeout = "upstream.connect.timeout";
inline constexpr std::string_view upstream_tls_handshake = "upstream.tls.handshake";
inline constexpr std::string_view upstream_tls_refused = "upstream.tls.refused";
inline constexpr std::string_view upstream_tls_certificate = "upstream.tls.certificate";
inline constexpr std::string_view upstream_tls_expired = "upstream.tls.expired";
inline constexpr std::string_view upstream_tls_name = "upstream.tls.name";
inline constexpr std::string_view upstream_tls_protocol = "upstream.tls.protocol";
inline constexpr std::string_view upstream_unresolved = "upstream.unresolved";
inline constexpr std::string_view upstream_timeout_first_byte = "upstream.timeout.first_byte";
inline constexpr std::string_view upstream_timeout_idle = "upstream.timeout.idle";
inline constexpr std::string_view upstream_timeout_total = "upstream.timeout.total";
inline constexpr std::string_view upstream_reset = "upstream.reset";
inline constexpr std::string_view upstream_protocol = "upstream.protocol";
inline constexpr std::string_view upstream_upgrade = "upstream.upgrade";
inline constexpr std::string_view upstream_no_healthy_endpoint = "upstream.no_healthy_endpoint";
inline constexpr std::string_view plugin_error = "plugin.error";
inline constexpr std::string_view plugin_body_too_large = "plugin.body_too_large";
inline constexpr std::string_view plugin_answer_too_large = "plugin.answer_too_large";
inline constexpr std::string_view overload = "overload";
inline constexpr std::string_view drain_timeout = "drain.timeout";
inline constexpr std::string_view upstream_too_large = "upstream.header_too_large";
inline constexpr std::string_view client_closed = "client.closed";
inline constexpr std::string_view client_slow = "client.slow";
inline constexpr std::string_view client_connections = "client.connections";
inline constexpr std::string_view tunnel_idle = "tunnel.idle";
inline constexpr std::string_view proxy_malformed = "proxy.malformed";
inline constexpr std::string_view tls_handshake = "tls.handshake";
inline constexpr std::string_view internal_error = "internal.error";
}  // namespace reason

// All rows of the core, in the order of the reference page.
std::span<const ReasonRow> reason_table();

// The status that belongs to a code of the core; 500 for one that is not in the table.
uint16_t status_of(std::string_view reason_code);

// The code of what went wrong with a backend, also where the error brings none.
struct Error;
std::string_view reason_of(const Error& error);

// "Not Found" for 404: the phrase of RFC 9110 section 15, empty for a status that has none.
std::string_view status_phrase(uint16_t status);

}  // namespace penstock
