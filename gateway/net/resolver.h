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
  std::chrono::seconds ttl{0};     // the smallest of the records; from /etc/hosts: 30 s
};

class Resolver {
 public:
  // servers: "ip:port" entries; empty = the system's (/etc/resolv.conf). /etc/hosts and literals are honoured
  // first.
  Resolver(Loop& loop, const std::vector<std::string>& servers);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A pending query; destroying it means that fn is not called any more.
  class Query {
   public:
    virtual ~Query() = default;
  };
  // fn comes exactly once, never inside resolve(). Errors: unresolved (NXDOMAIN, no data, kind unresolved
  // with retry no) or timeout/system (retry yes): a caller that has a last good answer keeps it on both.
  std::unique_ptr<Query> resolve(const std::string& name, std::function<void(Result<Resolved>)> fn);

 private:
  struct Channel;
  std::shared_ptr<Channel> channel_;
};

}  // namespace penstock::net
