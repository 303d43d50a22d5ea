// discover: { dns: NAME, port: N }: every address of the name is an endpoint of its own. Nothing is published
// before the first answer.
#include <fmt/format.h>

#include <memory>

#include "discovery/name_watch.h"
#include "discovery/provider.h"

namespace penstock::discovery {
namespace {

class DnsProvider final : public Provider {
 public:
  DnsProvider(const config::Upstream& upstream, Sources& sources)
      : upstream_(upstream.name),
        name_(upstream.discover->name),
        port_(upstream.discover->port),
        sources_(sources),
        watch_(
            sources.loop, lookup_through(sources.resolver), upstream.discover->name,
            [this](const std::vector<net::Address>& addresses) { publish_set(addresses); }, sources.log) {}

  void start(Publish publish) override {
    publish_ = std::move(publish);
    watch_.start();
  }

 private:
  void publish_set(const std::vector<net::Address>& addresses) {
    auto set = std::make_shared<upstream::EndpointSet>();
    for (net::Address address : addresses) {
      address.set_port(port_);
      upstream::EndpointInfo& info = set->endpoints.emplace_back();
      info.name = address.to_string();
      info.host = name_;
      info.addresses.push_back(address);
      info.state = sources_.states.get(upstream_, info.name);
    }
    if (sources_.log) sources_.log(fmt::format("upstream {}: {} endpoints", upstream_, addresses.size()));
    publish_(std::move(set));
  }

  std::string upstream_, name_;
  uint16_t port_;
  Sources& sources_;
  Publish publish_;
  NameWatch watch_;
};

}  // namespace

std::unique_ptr<Provider> make_dns_provider(const config::Upstream& upstream, Sources& sources) {
  return std::make_unique<DnsProvider>(upstream, sources);
}

}  // namespace penstock::discovery
