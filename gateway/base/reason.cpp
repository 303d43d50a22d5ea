#include "base/reason.h"

#include <array>

#include "base/result.h"

namespace penstock {
namespace {
using namespace reason;
constexpr std::array rows{
    ReasonRow{request_malformed, 400,
              "The request breaks RFC 9110 or 9112; nothing was forwarded and the connection closes."},
    ReasonRow{
        request_misdirected, 421,
        "The target is an https URL, but the request came over a connection without TLS (RFC 9110 7.4)."},
    ReasonRow{request_unsupported_method, 501,
              "The method is a valid token, but the gateway does not forward it."},
    ReasonRow{request_header_too_large, 431,
              "The header section is over limits.header_size or header_count, or the trailers are over "
              "trailer_size or trailer_count."},
    ReasonRow{request_uri_too_long, 414, "The request target is over limits.uri_size."},
    ReasonRow{request_body_too_large, 413, "The body is over limits.body_size."},
    ReasonRow{request_timeout, 408,
              "The head took longer than limits.header_timeout, or the body paused for body_timeout or "
              "timeouts.idle or came slower than min_body_rate."},
    ReasonRow{request_deadline, 504, "The time that the client gave the call, by grpc-timeout, is over."},
    ReasonRow{request_expectation, 417, "Expect asks for something other than 100-continue."},
    ReasonRow{
        request_upgrade, 400,
        "A WebSocket handshake that lacks what RFC 6455 asks for; 426 for another version than 13, 501 for "
        "a :protocol of HTTP/2 that the route does not let through or nothing makes a tunnel of."},
    ReasonRow{request_loop, 508, "Via says that the request came by here before."},
    ReasonRow{route_none, 404, "No route matches the host, path, headers and query."},
    ReasonRow{route_method, 405, "A route matches all but the method; Allow lists the methods."},
    ReasonRow{auth_missing, 401, "The route asks for credentials and the request has none."},
    ReasonRow{auth_forbidden, 403, "The consumer is known, but not allowed on this route."},
    ReasonRow{version_missing, 400, "No API version given and the route has no default."},
    ReasonRow{version_unknown, 404, "The API version is not one that the route serves."},
    ReasonRow{limit_rate, 429, "A rate limit is used up; Retry-After says when to come back."},
    ReasonRow{upstream_connect_refused, 502, "No endpoint accepted a connection."},
    ReasonRow{upstream_connect_timeout, 504,
              "No endpoint answered a connection attempt within timeouts.connect."},
    ReasonRow{
        upstream_tls_handshake, 502,
        "The TLS handshake with the backend came to nothing: it speaks no TLS, broke the handshake off or "
        "did something that the rules forbid."},
    ReasonRow{upstream_tls_refused, 502,
              "The backend ended the TLS handshake, or the session behind it, by an alert: it wants another "
              "client certificate, or has no version or suite in common with us."},
    ReasonRow{upstream_tls_certificate, 502,
              "The backend's certificate is of no authority in upstreams.*.tls.ca, or not one for servers."},
    ReasonRow{upstream_tls_expired, 502, "The backend's certificate has expired, or is not valid yet."},
    ReasonRow{upstream_tls_name, 502,
              "The backend's certificate is for other names than upstreams.*.tls.server_name, or the "
              "endpoint's host."},
    ReasonRow{upstream_tls_protocol, 502,
              "The backend agrees by ALPN to nothing that upstreams.*.protocol asks for."},
    ReasonRow{upstream_unresolved, 503, "The endpoint's name has no address."},
    ReasonRow{upstream_timeout_first_byte, 504,
              "The backend sent no response head within timeouts.first_byte."},
    ReasonRow{upstream_timeout_idle, 504, "The exchange saw no byte either way for timeouts.idle."},
    ReasonRow{upstream_timeout_total, 504, "The exchange took longer than timeouts.total."},
    ReasonRow{upstream_reset, 502,
              "The backend closed the connection, or reset the stream, before its answer was whole."},
    ReasonRow{upstream_protocol, 502, "The backend's answer breaks RFC 9112; none of it was passed on."},
    ReasonRow{upstream_upgrade, 502,
              "The backend speaks HTTP/2 and does not say that it takes extended CONNECT (RFC 8441), so no "
              "WebSocket can be made with it."},
    ReasonRow{upstream_too_large, 502,
              "The head, the trailers or the interim answers of the backend are over upstreams.*.limits."},
    ReasonRow{upstream_no_healthy_endpoint, 503, "The upstream has no endpoint that may be tried."},
    ReasonRow{plugin_error, 500, "A plugin of the route failed; on_error decides whether it refuses."},
    ReasonRow{plugin_body_too_large, 413,
              "A plugin of the route keeps more of the request's body than limits.body_buffer."},
    ReasonRow{plugin_answer_too_large, 502,
              "A plugin of the route keeps more of the answer's body than limits.body_buffer; the answer is "
              "cut when its head is gone."},
    ReasonRow{overload, 503, "A limit of the whole process is reached."},
    ReasonRow{drain_timeout, 503,
              "Still under way when drain.timeout was over: cut. The client sees its connection end."},
    ReasonRow{client_closed, 499,
              "The client went away, or ended its side and got nothing for limits.half_close_timeout."},
    ReasonRow{client_slow, 499,
              "The client took nothing of its answer for limits.send_timeout or timeouts.idle, or less than "
              "min_send_rate: cut."},
    ReasonRow{client_connections, 429,
              "The client has limits.max_connections_per_client open: closed without an answer, and a line "
              "on standard error instead of a record in the access log."},
    ReasonRow{tunnel_idle, 101,
              "No byte moved in the tunnel for timeouts.idle: both sides got what was under way and an end."},
    ReasonRow{proxy_malformed, 400,
              "A trusted proxy's connection has no valid PROXY header, or none in limits.header_timeout: "
              "closed without an answer, and a line on standard error instead of a record in the access "
              "log."},
    ReasonRow{tls_handshake, 400,
              "A TLS handshake came to nothing: ended with an alert (plain HTTP gets a 400), and a line "
              "on standard error instead of a record in the access log."},
    ReasonRow{internal_error, 500, "A fault of the gateway itself."},
};
}  // namespace

std::span<const ReasonRow> reason_table() { return rows; }

std::string_view reason_of(const Error& error) {
  if (!error.reason.empty()) return error.reason;
  switch (error.kind) {
    case ErrorKind::timeout: return reason::upstream_timeout_first_byte;
    case ErrorKind::protocol: return reason::upstream_protocol;
    case ErrorKind::refused: return reason::upstream_connect_refused;
    case ErrorKind::unresolved: return reason::upstream_unresolved;
    default: return reason::upstream_reset;
  }
}

uint16_t status_of(std::string_view reason_code) {
  for (const auto& row : rows)
    if (row.code == reason_code) return row.status;
  return 500;
}

std::string_view status_phrase(uint16_t status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 508: return "Loop Detected";
    case 505: return "HTTP Version Not Supported";
    default: return {};
  }
}

}  // namespace penstock
