// How a connection to an endpoint is made: TCP or TLS, and HTTP/1.1 or HTTP/2, as the settings say or the
// backend chooses. Owned by a cluster; one worker. Knows nothing of endpoints and waiting attempts.
#pragma once
#include <cstdint>
#include <memory>

#include "base/intrusive_list.h"
#include "base/result.h"
#include "http/connection.h"
#include "net/address.h"
#include "net/tls_client.h"
#include "upstream/cluster.h"

namespace penstock::upstream {

class Connector {
 public:
  using Done = void (*)(void* who, Result<std::unique_ptr<http::UpstreamConnection>> result);
  // A connection that is being made; destroying it cancels. Not to be destroyed inside its own Done.
  class Pending {
   public:
    virtual ~Pending() = default;
  };
  virtual ~Connector() = default;
  // done(who, ...) comes exactly once, never inside connect(). `owner` gets the events of the connection.
  // `peer` is whom TLS is to meet there; it outlives the connection.
  virtual std::unique_ptr<Pending> connect(const net::Address& to, net::TlsPeer& peer, uint64_t timeout_ms,
                                           http::UpstreamOwner& owner, Done done, void* who) = 0;
};

// Who can have somebody else's descriptor given back, when none is left for a connection to a backend.
class DescriptorOwner {
 public:
  // True: one was, or will be by the end of the turn. Destroys no connector and nothing of its.
  virtual bool descriptor_wanted() = 0;

 protected:
  ~DescriptorOwner() = default;
};

// `settings` is borrowed for the lifetime of the connections, `counters` and `descriptors` (may be null) for
// the connector's.
std::unique_ptr<Connector> make_connector(net::Loop& loop, const ClusterSettings& settings,
                                          ConnectCounters& counters, DescriptorOwner* descriptors);

}  // namespace penstock::upstream
