#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "config/compile.h"

namespace penstock::config {
namespace {

void compile_limits(const Node* node, ListenerLimits& limits) {
  take_size(node, "header_size", limits.header_size);
  take(node, "header_count", limits.header_count);
  take_size(node, "uri_size", limits.uri_size);
  take_size(node, "body_size", limits.body_size);
  take_size(node, "trailer_size", limits.trailer_size);
  take(node, "trailer_count", limits.trailer_count);
  take(node, "header_timeout", limits.header_timeout);
  take(node, "body_timeout", limits.body_timeout);
  take_rate_or_none(node, "min_body_rate", limits.min_body_rate);
  take(node, "rate_grace", limits.rate_grace);
  take(node, "send_timeout", limits.send_timeout);
  take_rate_or_none(node, "min_send_rate", limits.min_send_rate);
  take(node, "idle_timeout", limits.idle_timeout);
  take(node, "half_close_timeout", limits.half_close_timeout);
  take_or_none(node, "max_requests", limits.max_requests);
  take(node, "max_connections", limits.max_connections);
  take_or_none(node, "max_connections_per_client", limits.max_connections_per_client);
  take_size(node, "pipelined_size", limits.pipelined_size);
  take_size(node, "buffer_size", limits.buffer_size);
}

void compile_http2(const Node* node, ListenerHttp2& http2) {
  take(node, "max_concurrent_streams", http2.max_concurrent_streams);
  take_size(node, "stream_window", http2.stream_window);
  take_size(node, "connection_window", http2.connection_window);
  take_size(node, "max_frame_size", http2.max_frame_size);
  take_size(node, "header_table_size", http2.header_table_size);
  take_or_none(node, "max_resets", http2.max_resets);
  take_or_none(node, "max_control_frames", http2.max_control_frames);
  take(node, "ping_interval", http2.ping_interval);
  take(node, "ping_timeout", http2.ping_timeout);
}

void compile_protocols(const Node& node, Listener& listener, const std::string& path, Build& build) {
  std::vector<Protocol> protocols;
  for (const NameRef& name : names_in(usable(node, "protocols"))) {
    const Protocol protocol = name.name == "h2" ? Protocol::http_2 : Protocol::http_1_1;
    if (std::ranges::find(protocols, protocol) == protocols.end()) protocols.push_back(protocol);
  }
  if (!protocols.empty()) listener.protocols = std::move(protocols);
  const Node* http2 = usable(node, "http2");
  compile_http2(http2, listener.http2);
  if (http2 && std::ranges::find(listener.protocols, Protocol::http_2) == listener.protocols.end())
    build.diagnostics
        .warning("no-effect", http2->at, path + ".http2",
                 "http2 has no effect, this listener does not speak it")
        .hint = "protocols: [h2, http/1.1]";
}

void check_sizes(const Node* limits, const ListenerLimits& values, const std::string& path, Build& build) {
  const Node* uri = usable(limits, "uri_size");
  if (uri == nullptr || values.uri_size < values.header_size) return;
  build.diagnostics
      .warning("no-effect", uri->at, path + ".limits.uri_size",
               "uri_size has no effect, header_size ends such a head first")
      .hint = "the request line is part of the head: raise header_size";
}

void check_places(const Node* limits, const ListenerLimits& values, const std::string& path, Build& build) {
  const uint32_t one = values.max_connections_per_client;
  if (one == 0 || one < values.max_connections) return;
  const Node* written = usable(limits, "max_connections_per_client");
  const Node* node = written ? written : usable(limits, "max_connections");
  if (node == nullptr) return;
  build.diagnostics
      .warning("no-effect", node->at, path + ".limits.max_connections_per_client",
               fmt::format("max_connections_per_client ({}) has no effect, one client may take all {} places",
                           one, values.max_connections))
      .hint = "set it below max_connections, or to none";
}

void compile_trusted(const Node* list, Listener& listener, const std::string& path, Build& build) {
  for (const NameRef& network : names_in(list)) {
    const auto parsed = parse_network(network.name);
    if (!parsed) continue;
    listener.trusted_proxies.push_back(*parsed);
    if (parsed->unix_peers && listener.address.unix_path.empty())
      build.diagnostics.warning("no-effect", network.at, path + ".trusted_proxies",
                                "unix has no effect, nobody comes to this address through a unix socket");
  }
}

void compile_one(const Node& node, Build& build) {
  Listener listener;
  listener.at = node.at;
  take(&node, "name", listener.name);
  const std::string path = "listeners." + listener.name;
  if (const Node* address = usable(node, "address")) {
    if (const auto parsed = listen_address(address, build)) listener.address = *parsed;
    listener.address_at = address->at;
    take_mode(&node, listener.socket_mode, listener.address, path, build);
  }
  listener.tls = compile_tls(usable(node, "tls"), path + ".tls", build);
  compile_protocols(node, listener, path, build);
  compile_limits(usable(node, "limits"), listener.limits);
  check_sizes(usable(node, "limits"), listener.limits, path, build);
  check_places(usable(node, "limits"), listener.limits, path, build);
  compile_trusted(usable(node, "trusted_proxies"), listener, path, build);
  if (const Node* source = usable(node, "client_address")) {
    if (source->text == "forwarded") listener.client_address = ClientAddress::forwarded;
    if (source->text == "proxy_protocol") listener.client_address = ClientAddress::proxy_protocol;
    if (node.find("trusted_proxies") == nullptr)
      build.diagnostics
          .warning("no-effect", source->key_at, path + ".client_address",
                   "client_address has no effect without trusted_proxies")
          .hint = "name the proxies whose headers are believed";
  }
  if (const Node* form = usable(node, "forwarded"))
    listener.forwarded = form->text == "both"       ? ForwardedForm::both
                         : form->text == "standard" ? ForwardedForm::standard
                                                    : ForwardedForm::x;
  if (const Node* via = usable(node, "via"))
    if (const auto token = parse_header_name(via->text)) listener.via = *token;
  if (const Node* redirect = usable(node, "redirect"))
    listener.redirect = NameRef{redirect->text, redirect->at, redirect->secret};
  build.config.listeners.push_back(std::move(listener));
}

void check_redirect(const Listener& listener, const std::map<std::string_view, const Listener*>& by_name,
                    Build& build) {
  const std::string path = fmt::format("listeners.{}.redirect", listener.name);
  const auto found = by_name.find(listener.redirect->name);
  if (found == by_name.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, unused] : by_name) names.push_back(name);
    report_unknown_name(*listener.redirect, "unknown-listener",
                        fmt::format("listener '{}' redirects to", listener.name), names, path, build);
  } else if (!found->second->address.unix_path.empty()) {
    build.diagnostics
        .error("redirect-unix", listener.redirect->at, path,
               fmt::format("listener '{}' redirects to '{}', which has no port", listener.name, found->first))
        .hint = "redirect to a listener with an IP address";
  } else if (found->second->redirect) {
    build.diagnostics.error(
        "redirect-loop", listener.redirect->at, path,
        fmt::format("listener '{}' redirects to '{}', which redirects itself", listener.name, found->first));
  }
}

// Whoever listens on a port: once each address, and beside the wildcard address of its family nobody. The two
// families never meet, IPv6 sockets take IPv6 alone.
class Claims {
 public:
  explicit Claims(Build& build) : build_(build) {}

  void add(const Address& address, Position at, const std::string& path) {
    if (!address.unix_path.empty()) return add_path(address, at, path);
    if (address.host.empty() || address.port == 0) return;
    const Claim mine{bytes_of(address), address.ipv6, &address, at};
    for (const Claim& other : claims_) {
      if (other.address->port != address.port || other.ipv6 != mine.ipv6) continue;
      const bool same = other.bytes == mine.bytes;
      if (!same && other.bytes != wildcard && mine.bytes != wildcard) continue;
      Diagnostic& diagnostic = build_.diagnostics.error(
          "address-in-use", at, path,
          same ? fmt::format("{} port {} is listened on twice", address.host, address.port)
               : fmt::format("{} port {} is taken by {} port {}", address.host, address.port,
                             other.address->host, address.port));
      diagnostic.related = other.at;
      diagnostic.related_note = "first at";
      return;
    }
    claims_.push_back(mine);
  }

 private:
  void add_path(const Address& address, Position at, const std::string& path) {
    const auto [first, fresh] = paths_.emplace(address.unix_path, at);
    if (fresh) return;
    Diagnostic& diagnostic = build_.diagnostics.error(
        "address-in-use", at, path, fmt::format("unix:{} is listened on twice", address.unix_path));
    diagnostic.related = first->second;
    diagnostic.related_note = "first at";
  }

  using Bytes = std::array<unsigned char, 16>;
  struct Claim {
    Bytes bytes;
    bool ipv6;
    const Address* address;
    Position at;
  };
  static constexpr Bytes wildcard{};

  // ::1 has several spellings.
  static Bytes bytes_of(const Address& address) {
    Bytes bytes{};
    inet_pton(address.ipv6 ? AF_INET6 : AF_INET, address.host.c_str(), bytes.data());
    return bytes;
  }

  Build& build_;
  std::map<std::string, Position> paths_;
  std::vector<Claim> claims_;
};

}  // namespace

void compile_listeners(const Node& root, Build& build) {
  const Node* list = usable(root, "listeners");
  if (list == nullptr) return;
  if (list->children.empty())
    build.diagnostics.error("missing-key", list->key_at, "listeners",
                            "'listeners' is empty, nobody could connect");
  for (const Node& node : list->children)
    if (!node.unusable) compile_one(node, build);
}

void check_listeners(Build& build) {
  std::map<std::string_view, const Listener*> by_name;
  Claims claims(build);
  for (const Listener& listener : build.config.listeners) {
    const std::string path = "listeners." + listener.name;
    claims.add(listener.address, listener.address_at, path + ".address");
    if (listener.name.empty()) continue;
    const auto [first, fresh] = by_name.emplace(listener.name, &listener);
    if (!fresh)
      report_duplicate(listener.at, first->second->at, path,
                       fmt::format("listener '{}' is defined twice", listener.name), build);
  }
  if (build.config.status)
    claims.add(build.config.status->address, build.config.status->at, "status.address");
  if (build.config.admin) claims.add(build.config.admin->address, build.config.admin->at, "admin.address");
  for (const Listener& listener : build.config.listeners)
    if (listener.redirect) check_redirect(listener, by_name, build);
}

}  // namespace penstock::config
