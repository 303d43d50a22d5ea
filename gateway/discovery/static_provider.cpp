// The endpoints that the configuration lists. Literals are there at once; a name is one endpoint, whose
// addresses come and change behind it while the endpoint and its state stay.
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "discovery/name_watch.h"
#include "discovery/provider.h"

namespace penstock::discovery {
namespace {

class StaticProvider final : public Provider {
 public:
  StaticProvider(const config::Upstream& upstream, Sources& sources)
      : upstream_(upstream.name), sources_(sources) {
    std::unordered_map<std::string, size_t> known;
    known.reserve(upstream.endpoints.size());
    for (const config::Endpoint& endpoint : upstream.endpoints) add(endpoint, known);
  }

  void start(Publish publish) override {
    publish_ = std::move(publish);
    publish_set();
    for (auto& watch : watches_) watch->start();
  }

 private:
  // known: where in endpoints_ each name is. Lists are made by programs, too, and may be long.
  void add(const config::Endpoint& endpoint, std::unordered_map<std::string, size_t>& known) {
    if (endpoint.weight == 0) return;
    std::string name = endpoint_name(endpoint.host, endpoint.port);
    auto [same, is_new] = known.try_emplace(name, endpoints_.size());
    if (!is_new) {  // written twice: one endpoint with the weight of both
      endpoints_[same->second].weight += endpoint.weight;
      return;
    }
    upstream::EndpointInfo& info = endpoints_.emplace_back();
    info.name = std::move(name);
    info.host = endpoint.host;
    info.weight = endpoint.weight;
    info.state = sources_.states.get(upstream_, info.name);
    if (auto literal = net::Address::from_ip(endpoint.host, endpoint.port))
      info.addresses.push_back(*literal);
    else
      watch(endpoints_.size() - 1, endpoint);
  }

  void watch(size_t index, const config::Endpoint& endpoint) {
    auto changed = [this, index, port = endpoint.port](const std::vector<net::Address>& addresses) {
      endpoints_[index].addresses = addresses;
      for (net::Address& address : endpoints_[index].addresses) address.set_port(port);
      publish_set();
    };
    watches_.push_back(std::make_unique<NameWatch>(sources_.loop, lookup_through(sources_.resolver),
                                                   endpoint.host, std::move(changed), sources_.log));
  }

  void publish_set() {
    auto set = std::make_shared<upstream::EndpointSet>();
    set->endpoints = endpoints_;
    publish_(std::move(set));
  }

  std::string upstream_;
  Sources& sources_;
  Publish publish_;
  std::vector<upstream::EndpointInfo> endpoints_;
  std::vector<std::unique_ptr<NameWatch>> watches_;
};

}  // namespace

std::unique_ptr<Provider> make_static_provider(const config::Upstream& upstream, Sources& sources) {
  return std::make_unique<StaticProvider>(upstream, sources);
}

}  // namespace penstock::discovery
