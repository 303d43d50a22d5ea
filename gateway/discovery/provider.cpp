#include "discovery/provider.h"

#include <fmt/format.h>

namespace penstock::discovery {

std::unique_ptr<Provider> make_provider(const config::Upstream& upstream, Sources& sources) {
  if (upstream.discover) return make_dns_provider(upstream, sources);
  return make_static_provider(upstream, sources);
}

std::string endpoint_name(const std::string& host, uint16_t port) {
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace penstock::discovery
