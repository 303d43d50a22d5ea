// Names to addresses with their TTL, through c-ares on the loop (no thread pool, nothing blocks). Control
// plane.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace penstock::net {

class Loop;

struct Resolved {
  std::vector<Address> addresses;  // port 0; A first, then AAAA; each once, sorted within a family
  // The smallest of the records, aliases included; from /etc/hosts and for localhost 30 s, for a literal a
  // day.
  std::chrono::seconds ttl{0};
};

class Resolver {
 public:
  // servers: "ip:port" entries; empty = the system's (/etc/resolv.conf). /etc/hosts and literals are honoured
  // first. A server is asked twice, the second time for twice as long; a server that cannot be understood
  // makes every query fail with kind system.
  Resolver(Loop& loop, const std::vector<std::string>& servers, uint64_t try_timeout_ms = 2'000);
  ~Resolver();  // pending queries get kind cancelled
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A pending query; destroying it means that fn is not called any more.
  class Query {
   public:
    virtual ~Query() = default;
  };
  // fn comes exactly once, never inside resolve(), and may destroy the query and the resolver. Errors:
  // unresolved (NXDOMAIN, no data, no name; retry no), timeout or system (retry yes), cancelled: a caller
  // that has a last good answer keeps it on all of them.
  std::unique_ptr<Query> resolve(const std::string& name, std::function<void(Result<Resolved>)> fn);

 private:
  struct Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace penstock::net
