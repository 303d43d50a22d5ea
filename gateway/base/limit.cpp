#include "base/limit.h"

namespace penstock {

std::string_view name(Limit limit) {
  switch (limit) {
    case Limit::none:
    case Limit::count_: return {};
    case Limit::header_size: return "header_size";
    case Limit::header_count: return "header_count";
    case Limit::uri_size: return "uri_size";
    case Limit::body_size: return "body_size";
    case Limit::trailer_size: return "trailer_size";
    case Limit::trailer_count: return "trailer_count";
    case Limit::header_timeout: return "header_timeout";
    case Limit::body_timeout: return "body_timeout";
    case Limit::min_body_rate: return "min_body_rate";
    case Limit::send_timeout: return "send_timeout";
    case Limit::min_send_rate: return "min_send_rate";
    case Limit::idle_timeout: return "idle_timeout";
    case Limit::half_close_timeout: return "half_close_timeout";
    case Limit::max_requests: return "max_requests";
    case Limit::max_connections: return "max_connections";
    case Limit::max_connections_per_client: return "max_connections_per_client";
    case Limit::pipelined_size: return "pipelined_size";
    case Limit::buffer_size: return "buffer_size";
    case Limit::handshake_timeout: return "handshake_timeout";
    case Limit::max_handshakes: return "max_handshakes";
    case Limit::http2_max_resets: return "http2.max_resets";
    case Limit::http2_max_control_frames: return "http2.max_control_frames";
    case Limit::http2_ping_timeout: return "http2.ping_timeout";
    case Limit::body_buffer: return "body_buffer";
    case Limit::upstream_header_size: return "upstream.header_size";
    case Limit::upstream_header_count: return "upstream.header_count";
    case Limit::upstream_trailer_size: return "upstream.trailer_size";
    case Limit::upstream_trailer_count: return "upstream.trailer_count";
    case Limit::upstream_max_informational: return "upstream.max_informational";
    case Limit::upstream_http2_max_control_frames: return "upstream.http2.max_control_frames";
    case Limit::upstream_http2_ping_timeout: return "upstream.http2.ping_timeout";
    case Limit::buffered: return "buffered";
    case Limit::health_checks: return "health_checks";
    case Limit::plugin_work: return "plugin_work";
    case Limit::plugin_posts: return "plugin_posts";
    case Limit::plugin_fetches: return "plugin_fetches";
    case Limit::status_max_connections: return "status.max_connections";
    case Limit::admin_max_connections: return "admin.max_connections";
    case Limit::descriptors: return "descriptors";
  }
  return {};
}

}  // namespace penstock
