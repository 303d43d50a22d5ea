#include "config/asked_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "config/compile.h"
#include "config/schema.h"
#include "config/schema_walk.h"
#include "config/sources.h"
#include "config/wording.h"

namespace penstock::config {
namespace {

constexpr std::string_view write_url = "write https://HOST/PATH or http://HOST:PORT/PATH";

std::unexpected<Complaint> wrong(std::string message, std::string hint = std::string(write_url)) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

// RFC 3986 3.3 and 3.4, as far as a request line must not be broken: visible ASCII, whole escapes.
bool can_be_sent(std::string_view text) {
  if (!is_visible_ascii(text)) return false;
  const auto hex = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  for (size_t at = text.find('%'); at != text.npos; at = text.find('%', at + 1))
    if (at + 2 >= text.size() || !hex(text[at + 1]) || !hex(text[at + 2])) return false;
  return true;
}

Parsed<HostPort> host_of(std::string_view authority, uint16_t fallback) {
  const bool has_port = authority.rfind(':') != authority.npos && !authority.ends_with(']');
  return parse_host_port(has_port ? std::string(authority) : fmt::format("{}:{}", authority, fallback));
}

const Node* url_in(const Node& node, const std::string& path, Diagnostics& diagnostics) {
  const Node* url = node.is_map() ? node.find("url") : &node;
  const Position at = node.key_at.known() ? node.key_at : node.at;
  if (url == nullptr) {
    diagnostics.error("missing-key", at, path + ".url", fmt::format("'url' is missing under {}", path));
    return nullptr;
  }
  if (url->unusable) return nullptr;
  if (url->is_scalar()) return url;
  diagnostics
      .error("wrong-type", url->at.known() ? url->at : at, path,
             fmt::format("'{}' must be a URL", shown_key(*url)))
      .hint = write_url;
  return nullptr;
}

bool check_keys(const Node& node, const std::string& path, Diagnostics& diagnostics) {
  static constexpr std::array<std::string_view, 2> known{"url", "tls"};
  bool good = true;
  for (const Node& child : node.children) {
    if (std::ranges::count(known, child.key) > 0) continue;
    good = false;
    diagnostics
        .error("unknown-key", child.key_at, fmt::format("{}.{}", path, shown_key(child)),
               fmt::format("'{}' is not known under {}", shown_key(child), path))
        .hint = child.secret_key ? "" : did_you_mean(child.key, known);
  }
  return good;
}

// Files are relative to the file that names them; what reads them here knows no files.
void resolve_files(Node& tls, const std::string& folder) {
  for (const std::string_view key : {"ca", "cert", "key"}) {
    Node* file = tls.find(key);
    if (file == nullptr || !file->is_scalar() || file->text.starts_with('/') || folder.empty()) continue;
    file->text = (std::filesystem::path(folder) / file->text).string();
  }
}

std::optional<UpstreamTls> tls_of(const Node& node, const std::string& path, const std::string& folder,
                                  Diagnostics& diagnostics) {
  UpstreamTls plain_https;
  plain_https.at = node.key_at.known() ? node.key_at : node.at;
  const Node* given = node.is_map() ? node.find("tls") : nullptr;
  if (given == nullptr) return plain_https;
  Node tls = *given;  // the walk marks what it has complained of
  static const Schema schema;
  walk_part(tls, schema, "upstreams.*.tls", path + ".tls", diagnostics);
  if (tls.unusable) return std::nullopt;
  if (!tls.is_map()) {  // none
    diagnostics.error("bad-value", tls.at, path + ".tls", "a URL of https is asked over TLS").hint =
        "write http://, or take tls out";
    return std::nullopt;
  }
  resolve_files(tls, folder);
  const Sources sources;
  Config unused;
  Build build{sources, diagnostics, unused};
  return compile_upstream_tls(&tls, path + ".tls", build);
}

}  // namespace

Parsed<HttpUrl> parse_http_url(std::string_view text) {
  HttpUrl url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.scheme = HttpUrl::Scheme::https;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return wrong("is no absolute URL of http or https");
  }
  if (rest.find('#') != rest.npos) return wrong("has a fragment, which no server is asked for", "");
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.find('@') != authority.npos)
    return wrong("names a user, and a URL is no place for credentials", "");
  const uint16_t own_port = url.scheme == HttpUrl::Scheme::https ? 443 : 80;
  auto host = host_of(authority, own_port);
  if (!host) return wrong("names no host");
  url.host = std::move(host->host);
  url.port = host->port;
  const bool ipv6 = url.host.find(':') != url.host.npos;
  url.authority = ipv6 ? fmt::format("[{}]", url.host) : url.host;
  if (url.port != own_port) url.authority += fmt::format(":{}", url.port);

  const std::string_view target = rest.substr(authority.size());
  if (!can_be_sent(target)) return wrong("has bytes that a URL has to escape", "write them as %XX");
  const size_t mark = target.find('?');
  url.path = target.substr(0, mark);
  if (url.path.empty()) url.path = "/";
  url.has_query = mark != target.npos;
  if (url.has_query) url.query = target.substr(mark + 1);
  return url;
}

std::optional<AskedEndpoint> compile_asked_endpoint(const Node& node, const std::string& path,
                                                    const std::string& name, const std::string& folder,
                                                    Diagnostics& diagnostics) {
  if (node.is_map() && !check_keys(node, path, diagnostics)) return std::nullopt;
  const Node* written = url_in(node, path, diagnostics);
  if (written == nullptr) return std::nullopt;
  auto url = parse_http_url(written->text);
  if (!url) {
    // An unusual user part is the likeliest reason, and it may be a secret: then the text is not shown.
    const bool hidden = written->secret || written->text.find('@') != std::string::npos;
    diagnostics
        .error("bad-url", written->at, path,
               fmt::format("the URL{} {}", hidden ? std::string() : fmt::format(" '{}'", written->text),
                           url.error().message))
        .hint = url.error().hint;
    return std::nullopt;
  }
  AskedEndpoint asked;
  asked.url = std::move(*url);
  Upstream& upstream = asked.upstream;
  upstream.name = name;
  upstream.at = written->at;
  upstream.endpoints.push_back({asked.url.host, asked.url.port, 1, written->at});
  const size_t errors = diagnostics.errors();
  if (asked.url.scheme == HttpUrl::Scheme::https) {
    upstream.protocol = UpstreamProtocol::automatic;
    upstream.tls = tls_of(node, path, folder, diagnostics);
    if (!upstream.tls) return std::nullopt;  // never in plain text
  } else if (const Node* tls = node.is_map() ? node.find("tls") : nullptr) {
    diagnostics.error("no-effect", tls->key_at, path + ".tls", "tls has no effect, the URL is one of http")
        .hint = "write https://, or take tls out";
  }
  if (diagnostics.errors() != errors) return std::nullopt;
  return asked;
}

}  // namespace penstock::config
