// Whom a plugin asks over HTTP: a URL, with `tls` as an upstream has it, read where a plugin's configuration
// names it. It becomes an upstream of its own, with one endpoint, so that everything below knows only
// upstreams. Control thread only.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "config/diagnostic.h"
#include "config/node.h"
#include "config/parse_values.h"

namespace penstock::config {

struct HttpUrl {
  enum class Scheme : uint8_t { http, https } scheme = Scheme::http;
  std::string host;  // without brackets, lower case
  uint16_t port = 0;
  std::string authority;  // for Host: without the scheme's own port
  std::string path;       // "/" when the URL has none
  std::string query;
  bool has_query = false;
};
// Absolute, http:// or https://, without a user, without a fragment: what can be asked as it stands there.
Parsed<HttpUrl> parse_http_url(std::string_view text);

struct AskedEndpoint {
  HttpUrl url;
  Upstream upstream;
};
// `node` is the URL, or a map of `url` and, for https, `tls`. Relative files are resolved from `folder`.
// Nothing: the diagnostics say why. `name` is the upstream's.
std::optional<AskedEndpoint> compile_asked_endpoint(const Node& node, const std::string& path,
                                                    const std::string& name, const std::string& folder,
                                                    Diagnostics& diagnostics);

}  // namespace penstock::config
