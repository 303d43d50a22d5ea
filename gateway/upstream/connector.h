// How a connection to an endpoint is made: TCP, and HTTP/1.1 or HTTP/2 as the settings say; TLS behind the
// same call one day. Owned by a cluster; one worker. Knows nothing of endpoints and waiting attempts.
#pragma once
#include <cstdint>
#include <memory>

#include "base/intrusive_list.h"
#include "base/result.h"
#include "http/connection.h"
#include "net/address.h"

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
  virtual std::unique_ptr<Pending> connect(const net::Address& to, uint64_t timeout_ms,
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

// `settings` is borrowed for the lifetime of the connections, `descriptors` (may be null) for the
// connector's.
std::unique_ptr<Connector> make_tcp_connector(net::Loop& loop, const http::UpstreamSettings& settings,
                                              DescriptorOwner* descriptors);

}  // namespace penstock::upstream
