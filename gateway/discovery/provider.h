// Where endpoint sets come from. A provider watches one source (static list, DNS, later registries) for one
// upstream on the main thread and publishes a new set whenever it changes; the directory hands sets to all
// workers. A provider keeps its last good answer: an error never empties a set.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "upstream/endpoint_set.h"

namespace penstock::net {
class Loop;
class Resolver;
}  // namespace penstock::net

namespace penstock::discovery {

class Provider {
 public:
  // set: never null. Called on the main thread, at any time after start(), inside start() too.
  using Publish = std::function<void(std::shared_ptr<const upstream::EndpointSet> set)>;
  virtual ~Provider() = default;  // stops watching
  virtual void start(Publish publish) = 0;
};

// What providers share; owned by the server.
struct Sources {
  net::Loop& loop;
  net::Resolver& resolver;
  upstream::EndpointStates& states;
  // Lines for the daemon's log: a name that stops or starts to resolve, a set that changes. May be empty.
  std::function<void(const std::string& line)> log = {};
};

// The provider that this upstream's configuration asks for. `sources` is borrowed for its lifetime.
std::unique_ptr<Provider> make_provider(const config::Upstream& upstream, Sources& sources);
std::unique_ptr<Provider> make_static_provider(const config::Upstream& upstream, Sources& sources);
std::unique_ptr<Provider> make_dns_provider(const config::Upstream& upstream, Sources& sources);

// "127.0.0.1:80", "[::1]:80", "users.internal:80": how endpoints are called everywhere.
std::string endpoint_name(const std::string& host, uint16_t port);

}  // namespace penstock::discovery
